"""Is a photo of a page summarised as its clean text is?

Twenty pages of plain English, written for this (`pages.jsonl`), are drawn as photos: a font of matplotlib's, tilt,
blur, uneven light and noise, all from a seed. Each is summarised twice with one prompt, from the clean text and from
the photo; ROUGE-L tells how much the two summaries share. It knows pages, and an engine to ask.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from vlbm.errors import ConfigError
from vlbm.evaluation.rouge import rouge_l

LIST = Path(__file__).parent / "pages.jsonl"
PROMPT = "Summarize the following text in three sentences. Answer with the summary only."
FONTS = ("DejaVuSans.ttf", "DejaVuSerif.ttf")
SIZES = (18, 20, 22, 24, 26)
LINE_SPACING = 1.5
MOST_TILT = 3.0
"""Degrees to either side."""
BLUR = (0.5, 1.0)
"""Radius of the Gaussian, in pixels."""
NOISE = 10.0
"""Standard deviation of a pixel's value, of 255."""
SHADE = 0.25
"""Share of the light that is lost from one side of the page to the other."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its clean text, and a photo of it (a PNG file's bytes)."""

    name: str
    text: str
    photo: bytes


@dataclass(frozen=True, slots=True)
class PageRow:
    """One page summarised both ways.

    Attributes:
        name: of the page.
        errors: letters read wrongly, left out or added, as a share of the clean text's (character error rate).
        rouge: F1 of ROUGE-L between the two summaries.
        from_text, from_photo: the summaries.
        read: what was read in the photo.
    """

    name: str
    errors: float
    rouge: float
    from_text: str
    from_photo: str
    read: str


def pages(limit: int | None = None) -> list[Page]:
    """The pages of the list, the first `limit` of them; each is drawn from its place in the list as the seed.

    Raises:
        ConfigError: matplotlib, whose fonts are used, is not installed.
    """
    lines = LIST.read_text(encoding="utf-8").splitlines()[:limit]
    rows = [json.loads(line) for line in lines]
    return [Page(row["name"], row["text"], _png(photo_of(row["text"], seed))) for seed, row in enumerate(rows)]


def photo_of(text: str, seed: int) -> Image.Image:
    """A text as a photographed page."""
    rng = np.random.default_rng(seed)
    page = _page(text, ImageFont.truetype(_font(str(rng.choice(FONTS))), int(rng.choice(SIZES))))
    tilted = page.rotate(
        rng.uniform(-MOST_TILT, MOST_TILT), Image.Resampling.BICUBIC, expand=True, fillcolor=120
    ).filter(ImageFilter.GaussianBlur(rng.uniform(*BLUR)))
    ink = np.asarray(tilted, dtype=np.float64)  # [h,w]
    down, right = np.meshgrid(*(np.linspace(-0.5, 0.5, side) for side in ink.shape), indexing="ij")
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 - SHADE * (0.5 + (right * np.cos(angle) + down * np.sin(angle)) / 2**0.5)
    noisy = ink * light + rng.normal(0, NOISE, ink.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert("RGB")


def page_rows(engine: Any, pages: Sequence[Page], *, max_tokens: int = 120) -> Iterator[PageRow]:
    """Summarise each page both ways, greedily.

    Args:
        engine: a `vlbm.engine.Engine`.
        pages: what to summarise.
        max_tokens: of a summary.
    """
    from vlbm.engine import Message, PictureRef

    for page in pages:
        photo = Message("user", PROMPT, (PictureRef.of(page.photo),))
        from_photo, read = _summary(engine, photo, max_tokens, "text")
        from_text, _ = _summary(engine, Message("user", f"{PROMPT}\n\n{page.text}"), max_tokens, "asked")
        rouge = rouge_l(from_photo, [from_text]).f1
        yield PageRow(page.name, character_errors(read, page.text), rouge, from_text, from_photo, read)


def character_errors(read: str, text: str) -> float:
    """Letters to change, remove or add (Levenshtein 1966), as a share of the text's; spaces in a row are one."""
    mine, theirs = " ".join(read.split()), " ".join(text.split())
    row = list(range(len(theirs) + 1))
    for before, letter in enumerate(mine, start=1):
        last, row = row, [before]
        for at, other in enumerate(theirs):
            row.append(min(last[at + 1] + 1, row[at] + 1, last[at] + (letter != other)))
    return row[-1] / max(1, len(theirs))


def _summary(engine: Any, message: Any, max_tokens: int, reading: Any) -> tuple[str, str]:
    """The answer, and what was read for it."""
    from vlbm.engine import End, GenerationRequest, Token

    steps = list(engine.generate(GenerationRequest((message,), max_tokens=max_tokens, reading=reading)))
    end = steps[-1]
    assert isinstance(end, End)  # noqa: S101 (the engine's promise)
    said = "".join(step.text for step in steps if isinstance(step, Token)).strip()
    return said, "\n\n".join(use.read for use in end.images)


def _page(text: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Grey letters on light paper, some 55 a line."""
    size = int(font.size)
    width, margin = 40 * size, 7 * size // 2
    lines = [line for part in text.split("\n\n") for line in (*_wrapped(part, font, width - 2 * margin), "")]
    picture = Image.new("L", (width, 2 * margin + round(len(lines) * size * LINE_SPACING)), 245)
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        draw.text((margin, margin + number * size * LINE_SPACING), line, font=font, fill=35)
    return picture


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _font(name: str) -> str:
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError("pages are drawn with matplotlib's fonts: pip install 'vlbm-assistant[train]'") from error
    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name)


def _png(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
