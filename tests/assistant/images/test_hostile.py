"""Every picture of Pillow's own tests, many of them made to break decoders: taken or refused by name, within bounds."""

import asyncio
from collections import Counter
from pathlib import Path

import psutil
import pytest

from assistant.domain.errors import AssistantError
from assistant.images import DecoderPool, ImageLimits

HOSTILE = Path(__file__).parents[3] / ".cache" / "testdata" / "hostile"
MOST_MEMORY = 300 * 1024**2


def peaks() -> list[int]:
    """The most memory that each decoder had at any time, in bytes."""
    children = [child for child in psutil.Process().children() if "assistant.images.decoding" in child.cmdline()]
    status = [Path(f"/proc/{child.pid}/status").read_text() for child in children]
    lines = [line for text in status for line in text.splitlines() if line.startswith("VmHWM:")]
    return [int(line.split()[1]) * 1024 for line in lines]


@pytest.mark.timeout(300)
async def test_pictures_that_break_decoders_break_nothing() -> None:
    files = sorted(path for path in HOSTILE.rglob("*") if path.is_file())
    assert len(files) > 1000, "make test fetches them"
    decoders, outcomes, most = DecoderPool(ImageLimits(), size=2), Counter[str](), 0
    try:
        for path in files:
            try:
                await decoders.normalise(await asyncio.to_thread(path.read_bytes))
                outcomes["taken"] += 1
            except AssistantError as error:
                outcomes[error.code] += 1
            most = max([most, *await asyncio.to_thread(peaks)])
    finally:
        await decoders.aclose()
    assert outcomes["taken"] > 400
    assert outcomes["image_truncated"] > 5
    assert outcomes["image_too_many_pixels"] > 0
    assert outcomes["image_unreadable"] == 0
    assert sum(outcomes.values()) == len(files)
    assert 0 < most < MOST_MEMORY
