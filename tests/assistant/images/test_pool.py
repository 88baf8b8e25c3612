"""Pictures decoded in processes of their own: real ones, some of which break as decoders do."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

import psutil
import pytest

from assistant.domain.errors import LimitReached, PictureError, Unavailable
from assistant.images import DecoderPool, ImageLimits, normalise
from assistant.images.decoding import Bounds
from tests import pictures

BREAKS = {
    "dies": "os.kill(os.getpid(), signal.SIGSEGV)",
    "hangs": "time.sleep(600)",
    "computes": "exec('while True: pass')",
    "is hungry": "bytearray(4 * 1024**3)",
    "calls out": "socket.socket()",
}


def processes() -> list[psutil.Process]:
    """The decoders of this process, which may have other children."""
    return [child for child in psutil.Process().children() if "decoding" in " ".join(child.cmdline())]


def breaking(how: str) -> list[str]:
    """The program, but every PNG breaks it, as a hole in a decoder would."""
    program = (
        "import os, signal, socket, time\n"
        "from assistant.images import decoding, intake\n"
        "whole = intake.normalise\n"
        "def broken(data, limits=None):\n"
        f"    if limits and data.startswith(b'\\x89PNG'): {BREAKS[how]}\n"
        "    return whole(data, limits)\n"
        "intake.normalise = broken\n"
        "decoding.main()\n"
    )
    return [sys.executable, "-c", program]


@contextlib.asynccontextmanager
async def pool(how: str | None = None, *, size: int = 1, bounds: Bounds | None = None) -> AsyncIterator[DecoderPool]:
    more = {"program": breaking(how)} if how else {}
    decoders = DecoderPool(ImageLimits(), size=size, bounds=bounds, **more)
    try:
        yield decoders
    finally:
        await decoders.aclose()
        assert processes() == []


@pytest.mark.parametrize(
    "make",
    [
        pictures.jpeg,
        pictures.png,
        pictures.webp,
        pictures.gif,
        pictures.jpeg_with_metadata,
        pictures.jpeg_multi_picture,
        pictures.animated_gif,
        pictures.animated_webp,
        pictures.animated_png,
        lambda: pictures.heic_turned(6),
        lambda: pictures.avif_turned(6),
    ],
)
async def test_it_makes_of_a_picture_what_intake_makes_of_it(make: object) -> None:
    data = make()  # type: ignore[operator]
    async with pool() as decoders:
        assert await decoders.normalise(bytearray(data)) == normalise(data)


async def test_refusals_come_through_word_by_word() -> None:
    async with pool() as decoders:
        with pytest.raises(PictureError, match="not a picture") as refused:
            await decoders.normalise(pictures.text())
        assert refused.value.code == "image_unsupported"
        with pytest.raises(LimitReached, match="megapixels"):
            await decoders.normalise(pictures.bomb_png())


@pytest.mark.parametrize("how", ["dies", "hangs", "computes", "is hungry"])
async def test_a_picture_that_breaks_its_decoder_is_refused_alone(how: str) -> None:
    bounds = Bounds(cpu_seconds=1, wall_seconds=8.0 if how == "hangs" else 60.0)
    async with pool(how, size=2, bounds=bounds) as decoders:
        await decoders.normalise(pictures.jpeg())
        bad = asyncio.create_task(decoders.normalise(pictures.png()))
        assert (await decoders.normalise(pictures.jpeg())).width == 64
        with pytest.raises(PictureError) as refused:
            await bad
        assert refused.value.code == "image_unreadable"
        for _ in range(3):
            assert (await decoders.normalise(pictures.jpeg())).width == 64


async def test_a_decoder_can_open_no_socket() -> None:
    async with pool("calls out") as decoders:
        with pytest.raises(PictureError):
            await decoders.normalise(pictures.png())


async def test_the_largest_picture_of_each_mode_fits() -> None:
    async with pool() as decoders:
        for mode in ("P", "RGBA"):
            assert (await decoders.normalise(pictures.png(mode, (5000, 5000)))).resized, mode


async def test_the_event_loop_does_not_wait() -> None:
    async with pool() as decoders:
        await decoders.normalise(pictures.jpeg())
        work = asyncio.create_task(decoders.normalise(pictures.png("RGB", (5000, 5000))))
        turns = 0
        while not work.done():
            await asyncio.sleep(0.005)
            turns += 1
        assert turns > 5


async def test_one_that_is_given_up_leaves_no_answer_for_the_next() -> None:
    async with pool() as decoders:
        for _ in range(3):
            work = asyncio.create_task(decoders.normalise(pictures.png("RGB", (3000, 3000))))
            await asyncio.sleep(0.1)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            assert (await decoders.normalise(pictures.jpeg())).width == 64


async def test_more_pictures_than_processes_wait() -> None:
    async with pool(size=2) as decoders:
        kept = await asyncio.gather(*(decoders.normalise(pictures.jpeg()) for _ in range(20)))
        assert len(kept) == 20
        assert len(processes()) == 2


async def test_a_process_is_replaced_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.images.pool.PICTURES_EACH", 2)
    async with pool() as decoders:
        seen = set()
        for _ in range(5):
            await decoders.normalise(pictures.jpeg())
            seen |= {child.pid for child in processes()}
        assert len(seen) >= 2


async def test_one_that_died_while_it_waited_costs_no_picture() -> None:
    async with pool() as decoders:
        await decoders.normalise(pictures.jpeg())
        [child] = processes()
        child.kill()
        await asyncio.sleep(0.5)
        assert (await decoders.normalise(pictures.jpeg())).width == 64


async def test_secrets_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:secret@nowhere")
    async with pool() as decoders:
        await decoders.normalise(pictures.jpeg())
        [child] = processes()
        assert "REDIS_URL" not in child.environ()


async def test_a_program_that_cannot_be_started_is_said() -> None:
    decoders = DecoderPool(ImageLimits(), program=["/nowhere"])
    for _ in range(3):
        with pytest.raises(Unavailable):
            await decoders.normalise(pictures.jpeg())


async def test_a_decoder_ends_with_its_parent() -> None:
    program = (
        "import asyncio, os, psutil\n"
        "from assistant.images import DecoderPool, ImageLimits\n"
        "from tests import pictures\n"
        "async def main():\n"
        "    decoders = DecoderPool(ImageLimits())\n"
        "    await decoders.normalise(pictures.jpeg())\n"
        "    print(psutil.Process().children()[0].pid, flush=True)\n"
        "    os._exit(1)\n"
        "asyncio.run(main())\n"
    )
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    told, _ = await run.communicate()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(int(told)) and psutil.Process(int(told)).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
