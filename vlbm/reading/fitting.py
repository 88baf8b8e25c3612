"""A picture of any size and shape into one that the detector can look at, and places in it back into the picture.

The detector wants sides of some hundred pixels and no strip: it would enlarge the shorter side of a strip to its own
measure, and the longer one with it. A strip is therefore laid on a ground of its border's colour (letterboxed), the
huge is scaled down, the tiny up. It knows pixels, not words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

MOST_PIXELS = 4_000_000
"""A page of A4 at 200 dots an inch has 3.9 million."""
LEAST_SIDE = 160
"""A picture whose longer side is shorter than this is enlarged to it, at most by `MOST_ENLARGED`: the detector
enlarges further, and too much of it blurs."""
MOST_ENLARGED = 4.0
MOST_RATIO = 6.0
MARGIN = 16
"""Pixels of ground around the tiny: letters at the very edge are missed."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture ready for the detector.

    Attributes:
        picture: RGB.
        scale: pixels of `picture` for one of the original.
        left, top: where the original begins in `picture`.
        notes: what was done, for a person.
    """

    picture: Image.Image
    scale: float
    left: int
    top: int
    notes: tuple[str, ...]

    def back(self, points: np.ndarray, width: int, height: int) -> np.ndarray:
        """Points [...,2] of `picture` as points of the original, within its width and height."""
        original = (points - (self.left, self.top)) / self.scale
        return np.clip(original, 0, (width, height))


def fit(picture: Image.Image) -> Fitted:
    """Scale and letterbox an RGB picture (see above)."""
    width, height = picture.size
    longer, shorter = max(width, height), max(min(width, height), max(width, height) / MOST_RATIO)
    scale = min(1.0, (MOST_PIXELS / (longer * shorter)) ** 0.5)
    if longer < LEAST_SIDE:
        scale = min(LEAST_SIDE / longer, MOST_ENLARGED)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = picture if scale == 1 else picture.resize(size, Image.Resampling.LANCZOS)
    notes = []
    if scale != 1:
        notes.append(f"{'enlarged' if scale > 1 else 'scaled down'} to {size[0]} x {size[1]} pixels to be read")
    tiny, strip = scale > 1, longer / min(width, height) > MOST_RATIO
    if not (tiny or strip):
        return Fitted(scaled, scale, 0, 0, tuple(notes))
    ground = (
        max(size[0], round(size[1] / MOST_RATIO)) + 2 * MARGIN,
        max(size[1], round(size[0] / MOST_RATIO)) + 2 * MARGIN,
    )
    canvas = Image.new("RGB", ground, _border(scaled))
    left, top = (ground[0] - size[0]) // 2, (ground[1] - size[1]) // 2
    canvas.paste(scaled, (left, top))
    if strip:
        notes.append(f"letterboxed: {width} x {height} pixels are a strip, laid on a ground to be read")
    return Fitted(canvas, scale, left, top, tuple(notes))


def _border(picture: Image.Image) -> tuple[int, int, int]:
    """The median colour of a picture's edge."""
    pixels = np.asarray(picture)  # [h,w,3]
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    red, green, blue = (int(value) for value in np.median(edge, axis=0))
    return red, green, blue
