"""Picture files of any kind into upright RGB, and RGB of any shape into squares.

What becomes of kinds that have no RGB in them:

- grey, palette, black and white, CMYK and YCbCr are converted as Pillow does;
- what is transparent is laid on white, whatever form the transparency has;
- grey of 16 bits is scaled to 8 (65535 is white); of 32 bits, and in floats, by its values: floats up to 1 are shares
  of white, values up to 255 are bytes, up to 65535 are 16 bits, and anything else is stretched from its lowest to its
  highest;
- of several frames (animations, pages) the first is taken;
- a rotation that EXIF asks for is applied; metadata that cannot be read say nothing.

Files that are cut short are refused, not filled up with grey. This module knows nothing of models.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vlbm.errors import PictureError

MAX_PIXELS = 89_478_485  # what fits a quarter of a gigabyte at 24 bits, as Pillow has it
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    "PPM",
    "JPEG2000",
    "AVIF",
)  # Pillow would hand EPS to Ghostscript
SQUASHABLE = 2.0  # above this ratio of sides, stretching harms more than empty margins
TINY, HUGE = 48, 4000  # sides in pixels, the shorter and the longer one, that cost what is seen
SIXTEEN_BITS, BYTE = 65535, 255


def open_picture(data: bytes) -> Image.Image:
    """Decode a picture: first frame, upright, RGB on white (see above).

    Raises:
        PictureError: the bytes are no picture that Pillow can read, are cut short, or hold more than `MAX_PIXELS`.
    """
    if not data:
        raise PictureError("not a picture that can be read: the file is empty")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as picture:
            _check_size(picture)
            picture.load()
            return to_rgb(picture)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(
            f"the picture has far too many pixels, at most {MAX_PIXELS} are read: scale it down"
        ) from error
    except UnidentifiedImageError as error:
        raise PictureError(f"not a picture that can be read: it is none of {', '.join(FORMATS)}") from error
    except Exception as error:
        # Pillow raises OSError, SyntaxError, ValueError, IndexError, struct.error and more for files that end early or
        # contradict themselves: whatever it is, it is the picture's fault.
        reason = str(error) or type(error).__name__
        raise PictureError(f"not a picture that can be read: it is damaged or cut short ({reason})") from error


def to_rgb(picture: Image.Image) -> Image.Image:
    """Upright, and RGB with transparency laid on white (see above).

    Raises:
        PictureError: it has no pixels or too many, or values that are not numbers.
    """
    _check_size(picture)
    picture = _upright(picture)
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _bytes_of(picture).convert("RGB")
    if picture.has_transparency_data:
        alpha = (picture.convert("LA") if picture.mode == "La" else picture).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", alpha.size, "white"), alpha).convert("RGB")
    return picture.convert("RGB")


def whole(picture: Image.Image, size: int) -> Image.Image:
    """The whole picture in a square: stretched where it is nearly square, else on a ground of its own mean colour."""
    longer, shorter = max(picture.size), min(picture.size)
    if longer <= SQUASHABLE * shorter:
        return picture.resize((size, size), Image.Resampling.BICUBIC)
    fitted = ImageOps.contain(picture, (size, size), Image.Resampling.BICUBIC)
    mean = fitted.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    canvas = Image.new("RGB", (size, size), mean)
    canvas.paste(fitted, ((size - fitted.width) // 2, (size - fitted.height) // 2))
    return canvas


def shortcomings(width: int, height: int) -> tuple[str, ...]:
    """What is lost when a picture of a size in pixels is made square and small, in sentences for a person."""
    size, (shorter, longer) = f"{width} x {height} pixels", sorted((width, height))
    said = []
    if longer > SQUASHABLE * shorter:
        shape = "wider than high" if width > height else "higher than wide"
        said.append(f"The picture is much {shape} ({size}): it was looked at small, between empty margins.")
    if shorter < TINY:
        said.append(f"The picture is tiny ({size}): there is little to see in it.")
    if longer > HUGE:
        said.append(f"The picture is huge ({size}): it was looked at small, without its details.")
    return tuple(said)


def centre(picture: Image.Image, size: int) -> Image.Image:
    """The centred square of the picture, as wide as its shorter side."""
    return ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)


def _check_size(picture: Image.Image) -> None:
    width, height = picture.size
    if not width or not height:
        raise PictureError(f"the picture has {width} x {height} pixels: there is nothing to see")
    if width * height > MAX_PIXELS:
        raise PictureError(f"the picture has {width} x {height} pixels, at most {MAX_PIXELS} are read: scale it down")


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # broken metadata raise anything
        return picture


def _bytes_of(picture: Image.Image) -> Image.Image:
    """Grey of more than 8 bits -> grey of 8."""
    values = np.asarray(picture, dtype=np.float64)  # [h,w]
    low, high = float(values.min()), float(values.max())
    if not np.isfinite((low, high)).all():
        raise PictureError("the picture has values that are not numbers")
    if picture.mode.startswith("I;16"):
        white = float(SIXTEEN_BITS)
    elif low < 0 or high > SIXTEEN_BITS:
        values, white = values - low, (high - low) or 1.0
    elif picture.mode == "F" and high <= 1:
        white = 1.0
    else:
        white = BYTE if high <= BYTE else SIXTEEN_BITS
    return Image.fromarray(np.round(values * (BYTE / white)).astype(np.uint8))
