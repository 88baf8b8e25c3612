"""The synthetic proof: ambiguous words, two kinds of picture a word, so that only the picture tells what is meant.

"She saw the bat." is continued with the animal or with the club. Each of the 24 senses is a glyph of its own, a shape
in a colour, at varied place, size and ground: enough to prove that a fusion carries what the picture says, in minutes
and without downloads. It is a proof of the mechanism, not of sight: nothing here looks like a bat.

Pillow and numpy only; the same seed gives the same bytes. It knows no model.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from PIL import Image, ImageDraw

SIZE = 96
TEMPLATES = (
    "She saw the {word}.",
    "There is a {word} over there.",
    "He talked about the {word}.",
    "I like this {word}.",
)
# word: what it may mean
SENSES = {
    "bat": ("animal", "club"),
    "bow": ("ribbon", "weapon"),
    "crane": ("bird", "machine"),
    "mouse": ("rodent", "device"),
    "nail": ("finger", "iron"),
    "palm": ("tree", "hand"),
    "pipe": ("tube", "tobacco"),
    "plant": ("flower", "factory"),
    "ring": ("jewel", "sound"),
    "seal": ("swimmer", "stamp"),
    "spring": ("water", "coil"),
    "star": ("sky", "actor"),
}
_SHAPES = ("disc", "square", "triangle", "bar", "cross", "frame")
_COLOURS = ((214, 40, 40), (38, 110, 214), (32, 150, 60), (240, 190, 20))


@dataclass(frozen=True, slots=True)
class Sense:
    """One meaning of a word, and its place in the table of glyphs."""

    word: str
    meaning: str
    number: int

    @property
    def shape(self) -> str:
        """The glyph's shape."""
        return _SHAPES[self.number // 2 % len(_SHAPES)]

    @property
    def colour(self) -> tuple[int, int, int]:
        """The glyph's colour: the two senses of a word differ in it, and no two senses share shape and colour."""
        return _COLOURS[self.number % 2 + 2 * (self.number // (2 * len(_SHAPES)))]


@dataclass(frozen=True, slots=True)
class Case:
    """A picture with a text that it decides.

    Attributes:
        picture: RGB.
        sense: what the picture shows.
        source: the ambiguous sentence.
        right, wrong: its continuations, of which the picture fits the first.
    """

    picture: Image.Image
    sense: Sense
    source: str
    right: str
    wrong: str


def senses() -> tuple[Sense, ...]:
    """All senses; the two of a word stand together."""
    pairs = [(word, meaning) for word, meanings in SENSES.items() for meaning in meanings]
    return tuple(Sense(word, meaning, number) for number, (word, meaning) in enumerate(pairs))


def other(sense: Sense) -> Sense:
    """The other sense of the same word."""
    return senses()[sense.number ^ 1]


def cases(count: int, *, seed: int, size: int = SIZE) -> Iterator[Case]:
    """Cases in which every word has both its senses equally often, in every sentence.

    Args:
        count: how many; a multiple of 96 is balanced to the last.
        seed: of place, size, ground and noise. Different seeds never give the same picture (see `digest`).
        size: side in pixels.
    """
    rng = np.random.default_rng(seed)
    for sense, template in islice(cycle((s, t) for t in TEMPLATES for s in senses()), count):
        source = template.format(word=sense.word)
        yield Case(
            picture=render(sense, rng, size),
            sense=sense,
            source=source,
            right=f"The {sense.meaning}.",
            wrong=f"The {other(sense).meaning}.",
        )


def render(sense: Sense, rng: np.random.Generator, size: int = SIZE) -> Image.Image:
    """One picture of a sense."""
    ground = rng.integers(150, 256, 3)
    noise = rng.integers(-12, 13, (size, size, 3))
    canvas = Image.fromarray((ground + noise).clip(0, 255).astype(np.uint8))
    side = float(rng.uniform(0.45, 0.7)) * size
    left, top = (float(rng.uniform(0.05, 0.95)) * (size - side) for _ in range(2))
    _draw(ImageDraw.Draw(canvas), sense, (left, top, left + side, top + side))
    return canvas


def blank(size: int = SIZE) -> Image.Image:
    """A picture of nothing."""
    return Image.new("RGB", (size, size), (200, 200, 200))


def digest(picture: Image.Image) -> str:
    """SHA-256 of the pixels."""
    return hashlib.sha256(picture.tobytes()).hexdigest()


def _draw(pen: ImageDraw.ImageDraw, sense: Sense, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = box
    side, colour = right - left, sense.colour
    if sense.shape == "disc":
        pen.ellipse(box, fill=colour)
    elif sense.shape == "square":
        pen.rectangle(box, fill=colour)
    elif sense.shape == "triangle":
        pen.polygon([(left, bottom), (right, bottom), ((left + right) / 2, top)], fill=colour)
    elif sense.shape == "bar":
        pen.rectangle((left, top + side * 0.36, right, top + side * 0.64), fill=colour)
    elif sense.shape == "cross":
        pen.rectangle((left, top + side * 0.36, right, top + side * 0.64), fill=colour)
        pen.rectangle((left + side * 0.36, top, left + side * 0.64, bottom), fill=colour)
    else:
        pen.rectangle(box, outline=colour, width=max(2, math.ceil(side / 6)))
