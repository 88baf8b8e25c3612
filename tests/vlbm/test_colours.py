"""Colour words of drawn shapes, and shapes painted anew."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vlbm.data.colours import COLOURS, dominant_colour, recoloured


def shape(*fills: str, size: int = 90) -> Image.Image:
    """A disc on nothing, in equal stripes of the colours."""
    picture = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    width = size / len(fills)
    for place, fill in enumerate(fills):
        draw.rectangle((place * width, 0, (place + 1) * width - 1, size), fill=fill)
    mask = Image.new("L", (size, size), 0)
    ImageDraw.Draw(mask).ellipse((2, 2, size - 2, size - 2), fill=255)
    picture.putalpha(mask)
    return picture


@pytest.mark.parametrize(
    ("fill", "word"),
    [
        ("crimson", "red"),
        ("darkred", "red"),
        ("orange", "orange"),
        ("gold", "yellow"),
        ("seagreen", "green"),
        ("lightgreen", "green"),
        ("royalblue", "blue"),
        ("lightskyblue", "blue"),
        ("navy", "blue"),
        ("purple", "purple"),
        ("hotpink", "pink"),
        ("lightpink", "pink"),
        ("saddlebrown", "brown"),
        ("black", "black"),
        ("#262524", "black"),
        ("white", "white"),
        ("ivory", "white"),
        ("grey", "grey"),
        ("silver", "grey"),
        ("darkcyan", None),
        ("tan", None),
    ],
)
def test_a_plain_shape_has_its_word(fill: str, word: str | None) -> None:
    assert dominant_colour(shape(fill)) == word


def test_no_word_without_a_clear_majority_or_a_pixel() -> None:
    assert dominant_colour(shape("crimson", "royalblue")) is None
    assert dominant_colour(shape("crimson", "crimson", "crimson", "royalblue")) == "red"
    assert dominant_colour(Image.new("RGBA", (20, 20), (255, 0, 0, 0))) is None


@pytest.mark.parametrize("colour", COLOURS)
def test_paint_has_its_word_and_keeps_light_and_outline(colour: str) -> None:
    for fills in (("ivory", "silver", "grey"), ("gold",), ("black", "tomato", "tomato")):
        cutout = shape(*fills)
        painted = recoloured(cutout, colour, np.random.default_rng(3))
        assert dominant_colour(painted) == colour
        assert painted.getchannel("A").tobytes() == cutout.getchannel("A").tobytes()
    light = np.asarray(recoloured(shape("ivory", "grey"), colour, np.random.default_rng(3)).convert("L"))
    assert light[45, 20] > light[45, 70]
