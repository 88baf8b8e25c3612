"""Pictures and files that only pretend to be one, made in memory. Each function returns the bytes of a file."""

import io
import struct
import zlib
from typing import Any

import pillow_heif
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

RED = (220, 20, 20)
BLUE = (20, 20, 220)
GPS = b"GPS-SECRET"
"""Stands in the metadata of ``jpeg_with_metadata``: it must not be found in what is kept."""


def save(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as the bytes of a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def halves(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, RED)
    ImageDraw.Draw(picture).rectangle((size[0] // 2, 0, size[0], size[1]), fill=BLUE)
    return picture


# --- Pictures that are read ---------------------------------------------------------------------------------------


def jpeg(size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    return save(halves(size), "JPEG", quality=90, **options)


def jpeg_turned(orientation: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """``halves`` with an EXIF orientation, 1 to 8."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(size, exif=exif.tobytes())


def heic_turned(orientation: int) -> bytes:
    return _turned("HEIF", orientation)


def avif_turned(orientation: int) -> bytes:
    return _turned("AVIF", orientation)


def _turned(kind: str, orientation: int) -> bytes:
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(halves(), kind, exif=exif.tobytes())


def jpeg_with_metadata(comment: bytes = b"") -> bytes:
    """EXIF with a place, a maker and a description; optionally a comment segment."""
    exif = Image.Exif()
    exif[0x010E] = GPS.decode()
    exif[0x010F] = GPS.decode()
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (52.0, 31.0, 12.0)
    place[29] = GPS.decode()
    options: dict[str, Any] = {"comment": comment} if comment else {}
    return jpeg(exif=exif.tobytes(), **options)


def jpeg_cmyk() -> bytes:
    return save(halves().convert("CMYK"), "JPEG")


def jpeg_multi_picture() -> bytes:
    """A JPEG with a second one behind it (CIPA DC-007), as many phones write it: it begins as any JPEG does."""
    return save(halves(), "MPO", save_all=True, append_images=[halves((32, 24))])


def png(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> bytes:
    picture = halves(size).quantize(4) if mode == "P" else halves(size).convert(mode)
    return save(picture, "PNG")


def png_palette_transparent() -> bytes:
    """Colour 0, on the left, is transparent."""
    picture = Image.new("P", (64, 48), 0)
    picture.putpalette([*RED, *BLUE])
    picture.paste(1, (32, 0, 64, 48))
    return save(picture, "PNG", transparency=0)


def png_clear(mode: str = "RGBA") -> bytes:
    """Nothing but transparency over black."""
    return save(Image.new(mode, (64, 48), (0,) * len(mode)), "PNG")


def png_16_bit(value: int, **options: Any) -> bytes:
    """Grey of 16 bits, one value all over."""
    return save(Image.frombytes("I;16", (16, 16), struct.pack("<H", value) * 256), "PNG", **options)


def png_with_text(key: str, text: str) -> bytes:
    """A PNG with a text chunk."""
    info = PngInfo()
    info.add_text(key, text)
    return save(halves(), "PNG", pnginfo=info)


def webp(size: tuple[int, int] = (64, 48)) -> bytes:
    return save(halves(size), "WEBP", lossless=True)


def gif() -> bytes:
    return save(halves(), "GIF")


def one_pixel() -> bytes:
    return png(size=(1, 1))


def very_wide() -> bytes:
    return png(size=(20_000, 1))


# --- Pictures that are refused ------------------------------------------------------------------------------------


def animated_gif() -> bytes:
    return _animated("GIF")


def animated_webp() -> bytes:
    return _animated("WEBP")


def animated_png() -> bytes:
    return _animated("PNG")


def _animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    return save(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)


def truncated_jpeg() -> bytes:
    whole = jpeg((256, 256))
    return whole[: len(whole) // 2]


def truncated_png() -> bytes:
    whole = save(Image.effect_noise((64, 64), 90), "PNG")
    return whole[: len(whole) // 2]


def bomb_png(width: int = 40_000, height: int = 40_000) -> bytes:
    """A few hundred bytes whose header says 1.6 gigapixels; every checksum is right."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def bomb_jpeg(width: int, height: int) -> bytes:
    """A JPEG whose frame header (SOF0) says another size."""
    whole = bytearray(jpeg())
    place = whole.index(b"\xff\xc0")
    whole[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(whole)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def heic(brand: bytes = b"heic") -> bytes:
    """The file type box of ISO/IEC 14496-12, and nothing of use behind it."""
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1heic" + bytes(100)


def svg() -> bytes:
    return b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>'


def text() -> bytes:
    return b"these are words, not a picture\n" * 10


def empty() -> bytes:
    return b""


def eleven_megabytes() -> bytes:
    """A JPEG at its start; too many bytes whatever it is."""
    return jpeg().ljust(11 * 1024 * 1024, b"\x00")
