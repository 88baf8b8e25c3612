"""The colour word of a cut-out, and cut-outs in another colour. It sees pixels, not things: a zebra is white or black.

Limits between words are hue, saturation and value (HSV), set by eye; between them lie colours that have no word here
(teal, olive, beige, skin).
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
CLEAR_SHARE = 0.55
_OPAQUE = 128
_LOOK = 64

_PAINT: dict[str, tuple[int, int, int]] = {
    "red": (205, 32, 36),
    "orange": (245, 132, 20),
    "yellow": (246, 216, 40),
    "green": (45, 150, 60),
    "blue": (45, 95, 215),
    "purple": (125, 55, 170),
    "pink": (246, 130, 185),
    "brown": (120, 72, 38),
    "black": (32, 32, 34),
    "white": (246, 246, 246),
    "grey": (135, 135, 135),
}
# How far a shadow goes to black and a light to white, before the word would be another (dark orange is brown).
_SHADOW = {"white": 0.12, "yellow": 0.14, "orange": 0.12, "pink": 0.14}
_LIGHT = {"black": 0.06, "red": 0.1, "brown": 0.08, "grey": 0.2, "orange": 0.12}


def dominant_colour(cutout: Image.Image) -> str | None:
    """The colour word of most of a cut-out's opaque pixels; None where none has `CLEAR_SHARE` of them."""
    small = cutout.copy() if max(cutout.size) <= _LOOK else ImageOps.contain(cutout, (_LOOK, _LOOK))
    opaque = np.asarray(small.getchannel("A")) >= _OPAQUE
    if not opaque.any():
        return None
    words = colour_words(small.convert("RGB"))[opaque]
    counts = np.bincount(words[words >= 0], minlength=len(COLOURS))
    best = int(counts.argmax())
    return COLOURS[best] if counts[best] >= CLEAR_SHARE * words.size else None


def colour_words(picture: Image.Image) -> npt.NDArray[np.int64]:
    """The index in `COLOURS` of each pixel of an RGB picture, -1 where no word fits: (height, width)."""
    hsv = np.asarray(picture.convert("HSV"), dtype=np.float32)
    hue, saturation, value = hsv[..., 0] * (360 / 255), hsv[..., 1] / 255, hsv[..., 2] / 255
    red = (hue < 13) | (hue >= 345)
    pale = (saturation < 0.58) & (value > 0.72)
    grey = (saturation < 0.12) | ((saturation < 0.2) & (value < 0.5))
    rules = (
        ("black", (value < 0.2) | (grey & (value < 0.26))),
        ("white", (saturation < 0.1) & (value > 0.86)),
        ("grey", grey),
        ("pink", (red & pale) | ((hue >= 305) & (hue < 345) & (value > 0.6)) | ((hue >= 292) & pale & (hue < 345))),
        ("brown", (hue >= 345) & (value < 0.45) & (saturation < 0.6)),
        ("brown", (hue < 13) & (value < 0.5) & (saturation < 0.72)),
        ("red", red),
        ("brown", (hue < 42) & (value < 0.72) & (saturation > 0.3)),
        ("orange", (hue < 41) & (value > 0.8) & (saturation > 0.58)),
        ("yellow", (hue >= 41) & (hue < 68) & (value > 0.66) & (saturation > 0.35)),
        ("green", (hue >= 68) & (hue < 168) & (saturation > 0.18)),
        ("blue", (hue >= 188) & (hue < 256)),
        ("purple", (hue >= 256) & (hue < 330)),
    )
    found = np.select([rule for _, rule in rules], [COLOURS.index(word) for word, _ in rules], default=-1)
    return cast("npt.NDArray[np.int64]", found)


def recoloured(cutout: Image.Image, colour: str, rng: np.random.Generator) -> Image.Image:
    """The cut-out painted in a colour of `COLOURS`: its light and shadow stay, its own colours go.

    The paint is moved by up to eight levels a channel, so that a word is not one value.
    """
    light = cutout.convert("L")
    alpha = cutout.getchannel("A")
    opaque = np.asarray(light)[np.asarray(alpha) >= _OPAQUE]
    mean, spread = (float(opaque.mean()), float(opaque.std())) if opaque.size else (128.0, 0.0)
    shift = rng.integers(-8, 9) if colour in ("white", "grey", "black") else rng.integers(-8, 9, 3)
    paint = np.clip(np.array(_PAINT[colour]) + shift, 0, 255)
    middle = int(np.clip(mean, 1, 254))
    made = ImageOps.colorize(
        light,
        black=_rgb(paint * (1 - _SHADOW.get(colour, 0.35))),
        white=_rgb(paint + (255 - paint) * _LIGHT.get(colour, 0.25)),
        mid=_rgb(paint),
        blackpoint=int(np.clip(mean - 2 * spread, 0, middle - 1)),
        midpoint=middle,
        whitepoint=int(np.clip(mean + 2 * spread, middle + 1, 255)),
    )
    made.putalpha(alpha)
    return made


def _rgb(values: npt.NDArray[np.floating] | npt.NDArray[np.integer]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in values)
    return red, green, blue
