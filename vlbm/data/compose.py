"""Pictures composed from cut-outs: a stamp on a ground, with light, size and place varied. Pillow and numpy only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

SIZE = 256


def read_cutout(path: Path) -> Image.Image:
    """A stamp as RGBA, trimmed to what is not transparent, at most SIZE pixels a side."""
    with Image.open(path) as opened:
        picture = opened.convert("RGBA")
    box = picture.getchannel("A").point(lambda a: 255 if a > 16 else 0).getbbox()
    picture = picture.crop(box) if box else picture
    return ImageOps.contain(picture, (SIZE, SIZE), Image.Resampling.LANCZOS)


def plain(cutout: Image.Image) -> Image.Image:
    """The cut-out on white, with a margin: how the memory keeps it."""
    return compose(cutout, Image.new("RGB", (SIZE, SIZE), "white"), scale=0.92, place=(0.5, 0.5))


def varied(cutout: Image.Image, other: Callable[[], Image.Image], rng: np.random.Generator) -> Image.Image:
    """The cut-out on a random ground (see `ground`), at a random size and place, mirrored, turned and lit at random."""
    piece = ImageOps.mirror(cutout) if rng.random() < 0.5 else cutout
    if rng.random() < 0.4:
        piece = piece.rotate(float(rng.uniform(-20, 20)), Image.Resampling.BICUBIC, expand=True)
    made = compose(
        piece, ground(other, rng), scale=float(rng.uniform(0.55, 1.05)), place=tuple(rng.uniform(0.3, 0.7, 2))
    )
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        made = enhance(made).enhance(float(rng.uniform(0.75, 1.25)))
    if rng.random() < 0.25:
        made = made.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
    return made


def compose(cutout: Image.Image, canvas: Image.Image, *, scale: float, place: tuple[float, ...]) -> Image.Image:
    """Lay a cut-out on a ground: `scale` of the ground's side, its middle at `place` (fractions)."""
    side = max(8, int(canvas.width * scale))
    piece = ImageOps.contain(cutout, (side, side), Image.Resampling.BICUBIC)
    left = int(canvas.width * place[0] - piece.width / 2)
    top = int(canvas.height * place[1] - piece.height / 2)
    made = canvas.copy()
    made.paste(piece, (left, top), piece)
    return made


def ground(other: Callable[[], Image.Image] | None, rng: np.random.Generator) -> Image.Image:
    """A ground: white, one colour, a gradient, cloudy noise, or a blurred piece of another cut-out, where there are."""
    kind = rng.choice(["white", "colour", "gradient", "noise", "other"], p=[0.25, 0.15, 0.2, 0.2, 0.2])
    if kind == "white":
        return Image.new("RGB", (SIZE, SIZE), "white")
    if kind == "colour":
        return Image.new("RGB", (SIZE, SIZE), tuple(int(c) for c in rng.integers(0, 256, 3)))
    if kind == "gradient":
        return gradient(rng)
    if kind == "noise" or other is None:
        return noise(rng)
    piece = other()
    laid = Image.new("RGBA", piece.size, tuple(int(c) for c in rng.integers(0, 256, 3)))
    laid.alpha_composite(piece)
    return ImageOps.fit(laid.convert("RGB"), (SIZE, SIZE)).filter(ImageFilter.GaussianBlur(float(rng.uniform(4, 12))))


def gradient(rng: np.random.Generator) -> Image.Image:
    """Four random corner colours, blended."""
    corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def noise(rng: np.random.Generator) -> Image.Image:
    """Random colours at one or two sizes of grain."""
    grain = int(rng.choice([4, 8, 16, 32, 64, SIZE]))
    coarse = Image.fromarray(rng.integers(0, 256, (grain, grain, 3), dtype=np.uint8))
    made = coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    other = gradient(rng)
    return Image.blend(made, other, float(rng.uniform(0, 0.7)))


def nothing(rng: np.random.Generator) -> Image.Image:
    """A picture of nothing: one colour, a gradient or noise."""
    kind = int(rng.integers(3))
    if kind == 0:
        return Image.new("RGB", (SIZE, SIZE), tuple(int(c) for c in rng.integers(0, 256, 3)))
    return gradient(rng) if kind == 1 else noise(rng)
