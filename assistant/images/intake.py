"""From untrusted bytes to one plain picture: bounds first, then decoding, then a form that holds nothing but pixels.

Blocking; run it off the event loop. Knows nothing of owners or of where the picture will be kept.
"""

import functools
import hashlib
import importlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from assistant.domain.errors import LimitReached, PictureError
from assistant.images.sniff import sniff

READ = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIC")
_READ_TEXT = "Send a JPEG, PNG, WebP, HEIC, AVIF or GIF."
_MEGABYTE = 1024 * 1024
_ONE_PICTURE = ("JPEG", "HEIC")
"""More pictures in a file of these are not an animation: phones put previews and bursts there; the first is the one."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Bounds of a picture: ``bytes`` as sent, ``pixels`` by its header, ``side`` in pixels as kept."""

    bytes: int = 10 * _MEGABYTE
    pixels: int = 25_000_000
    side: int = 1568

    def check_bytes(self, size: int) -> None:
        """Raises ``PictureError`` for an empty picture and ``LimitReached`` for one of too many bytes."""
        if size <= 0:
            raise PictureError("image_empty", f"The file is empty. {_READ_TEXT}")
        if size > self.bytes:
            raise LimitReached(
                "image_too_large",
                f"The picture has {min(size, 2**53) / _MEGABYTE:.1f} MB; "
                f"at most {self.bytes // _MEGABYTE} MB are taken. Scale it down.",
            )


@dataclass(frozen=True, slots=True)
class NormalisedPicture:
    """A picture ready to keep: JPEG bytes, upright, RGB, no metadata; ``sha256`` is of ``data``."""

    data: bytes
    sha256: str
    width: int
    height: int
    resized: bool
    animated: bool = False
    """It is the first frame of several."""


def normalise(data: bytes, limits: ImageLimits | None = None) -> NormalisedPicture:
    """Check, decode and re-encode a picture.

    Raises:
        PictureError: empty, not a picture, of a kind that is not read, damaged or cut short.
        LimitReached: too many bytes, or too many pixels by its header; nothing has been decoded then.
        MemoryError: this process may not take as much as decoding it needs.
    """
    limits = limits or ImageLimits()
    limits.check_bytes(len(data))
    kind = sniff(data)
    if kind not in READ:
        raise PictureError("image_unsupported", f"{_what(kind)} {_READ_TEXT}")
    if kind == "HEIC" and not _loads_heic():
        raise PictureError(
            "image_unsupported",
            'HEIC pictures are not read here: send a JPEG. (To have them read: pip install "vlbm-assistant[heic]".)',
        )
    picture, animated = _decode(data, kind, limits)
    picture.info.clear()  # or comments and profiles would be written with the pixels
    width, height = picture.size
    picture.thumbnail((limits.side, limits.side), Image.Resampling.LANCZOS)
    kept = io.BytesIO()
    picture.save(kept, "JPEG", quality=92, subsampling=0)
    encoded = kept.getvalue()
    return NormalisedPicture(
        data=encoded,
        sha256=hashlib.sha256(encoded).hexdigest(),
        width=picture.width,
        height=picture.height,
        resized=(width, height) != picture.size,
        animated=animated,
    )


def unreadable() -> PictureError:
    """The refusal of a picture that breaks its decoder, or takes too much of the machine."""
    return PictureError(
        "image_unreadable", "This picture cannot be read. Save it as a plain JPEG or PNG and send that."
    )


def load_decoders() -> None:
    """Load all that reading pictures needs; where files cannot be opened later, nothing could be loaded any more."""
    for plugin in ("Avif", "Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP"):
        importlib.import_module(f"PIL.{plugin}ImagePlugin")
    _loads_heic()
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "AVIF"):
        sample = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGBA" if kind == "PNG" else "RGB", (2, 2)).save(
            sample, kind, **({} if kind == "GIF" else {"exif": exif})
        )
        normalise(sample.getvalue())


def _what(kind: str | None) -> str:
    return "This is not a picture." if kind is None else f"{kind} pictures are not read."


@functools.cache
def _loads_heic() -> bool:
    """Whether HEIC can be read: its decoder is an extra, for it is large and under other licences (LGPL, GPL)."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _decode(data: bytes, kind: str, limits: ImageLimits) -> tuple[Image.Image, bool]:
    """The first frame, upright, as RGB on white; whether there are more."""
    with warnings.catch_warnings():
        # The header's size is checked right below, before a pixel is decoded.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=["HEIF" if kind == "HEIC" else kind]) as picture:
                _check_pixels(picture.size, limits)
                animated = kind not in _ONE_PICTURE and _is_animated(picture)
                picture.load()
                return _on_white(_upright(picture)), animated
        except (PictureError, LimitReached, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise _too_many_pixels(limits) from error
        except UnidentifiedImageError as error:
            raise PictureError(
                "image_damaged", f"This {kind} picture is damaged: its header cannot be read."
            ) from error
        except Exception as error:
            # Pillow raises OSError, SyntaxError, IndexError, struct.error and more for data that ends early or
            # contradicts itself: whatever it is, it is the picture's fault.
            raise PictureError(
                "image_truncated", f"This {kind} picture is damaged or cut short. Save or send it again."
            ) from error


def _check_pixels(size: tuple[int, int], limits: ImageLimits) -> None:
    if size[0] * size[1] > limits.pixels:
        raise _too_many_pixels(limits, size)


def _too_many_pixels(limits: ImageLimits, size: tuple[int, int] | None = None) -> LimitReached:
    has = f"{size[0]} x {size[1]} pixels" if size else "far too many pixels"
    return LimitReached(
        "image_too_many_pixels",
        f"The picture has {has}; at most {limits.pixels // 1_000_000} megapixels are taken. Scale it down.",
    )


def _is_animated(picture: Image.Image) -> bool:
    """Whether a second frame follows; one that is damaged is none. At the first frame again afterwards."""
    try:
        return bool(getattr(picture, "is_animated", False))
    except Exception:
        picture.seek(0)
        return False


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as its metadata says; metadata that cannot be read say nothing."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:
        return picture


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":  # 16 bits and more: scale the range down to 8
        picture = picture.point(lambda value: value / 256).convert("L") if picture.mode != "F" else picture.convert("L")
    if picture.mode == "P" or picture.has_transparency_data:
        layer = picture.convert("RGBA")
        ground = Image.new("RGB", layer.size, "white")
        ground.paste(layer, mask=layer.getchannel("A"))
        return ground
    return picture.convert("RGB")
