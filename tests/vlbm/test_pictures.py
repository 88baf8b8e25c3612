"""Odd pictures: each is converted as documented, through the whole encoder, or refused in words."""

from __future__ import annotations

import contextlib
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.vlbm.conftest import drawn
from vlbm.encoders import encoder
from vlbm.errors import PictureError
from vlbm.pictures import MAX_PIXELS, open_picture, shortcomings, to_rgb, whole
from vlbm.processing import VLBMImageProcessor

RAMP = np.linspace(0, 1, 32 * 24).reshape(24, 32)
GREY = Image.fromarray((RAMP * 255).round().astype(np.uint8))
SIXTEEN = Image.fromarray((RAMP * 65535).round().astype(np.uint16))


def file(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and hardly more."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def moving() -> bytes:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    return file(frames[0], "GIF", save_all=True, append_images=frames[1:])


def palette_with_alpha() -> bytes:
    picture = Image.new("P", (20, 20), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.paste(1, (0, 0, 20, 10))
    return file(picture, "PNG", transparency=0)


ODD = {
    "grey": file(GREY, "PNG"),
    "grey and alpha": file(GREY.convert("LA"), "PNG"),
    "CMYK": file(GREY.convert("CMYK"), "JPEG"),
    "YCbCr": file(GREY.convert("YCbCr"), "JPEG"),
    "16 bits, PNG": file(SIXTEEN, "PNG"),
    "16 bits, TIFF": file(SIXTEEN, "TIFF"),
    "32 bits": file(Image.fromarray((RAMP * 65535).astype(np.int32)), "TIFF"),
    "floats": file(Image.fromarray(RAMP.astype(np.float32)), "TIFF"),
    "palette and alpha": palette_with_alpha(),
    "1 bit": file(GREY.convert("1"), "PNG"),
    "1 x 1": file(Image.new("RGB", (1, 1), "teal"), "PNG"),
    "20000 x 1": file(Image.new("RGB", (20000, 1), "teal"), "PNG"),
    "1 x 20000": file(Image.new("L", (1, 20000), 9), "PNG"),
    "moving": moving(),
}


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((640, 480), []),
        ((1000, 100), ["much wider than high (1000 x 100 pixels)"]),
        ((40, 30), ["tiny"]),
        ((20, 20000), ["much higher than wide", "tiny", "huge"]),
    ],
)
def test_what_is_lost_by_a_square_is_said(size: tuple[int, int], said: list[str]) -> None:
    found = shortcomings(*size)
    assert len(found) == len(said)
    assert all(part in sentence for part, sentence in zip(said, found, strict=True))


@pytest.fixture(scope="module")
def sees() -> Any:
    torch.manual_seed(0)
    return encoder("resnet18").build().eval()


@pytest.mark.parametrize("name", ODD)
@torch.inference_mode()
def test_every_odd_picture_goes_through_the_whole_encoder(name: str, sees: Any) -> None:
    picture = open_picture(ODD[name])
    assert picture.mode == "RGB"
    seen = sees(VLBMImageProcessor(views=2)(picture)["pixel_values"].flatten(0, 1))
    assert seen.grid.shape == (2, 49, 512)
    assert torch.isfinite(seen.grid).all()
    assert torch.isfinite(seen.logits).all()


@pytest.mark.parametrize("name", ["16 bits, PNG", "16 bits, TIFF", "32 bits", "floats", "grey and alpha"])
def test_deep_grey_is_scaled_to_bytes_not_clipped(name: str) -> None:
    found = np.asarray(open_picture(ODD[name]), dtype=int)
    assert np.abs(found - np.asarray(GREY, dtype=int)[:, :, None]).max() <= 1


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (np.array([[0, 255]], np.int32), [0, 255]),  # bytes
        (np.array([[0, 256]], np.int32), [0, 1]),  # 16 bits
        (np.array([[-100, 100]], np.int32), [0, 255]),  # stretched
        (np.array([[0, 1 << 20]], np.int32), [0, 255]),
        (np.array([[7, 7]], np.int32) * 100000, [0, 0]),  # flat, and of no known range
        (np.array([[0.0, 0.5]], np.float32), [0, 128]),
        (np.array([[0.0, 200.0]], np.float32), [0, 200]),
        (np.array([[0.0, 65535.0]], np.float32), [0, 255]),
        (np.array([[-1.0, 1.0]], np.float32), [0, 255]),
        (np.array([[0, 257]], np.uint16), [0, 1]),
        (np.array([[0, 65535]], ">u2"), [0, 255]),
    ],
)
def test_the_range_of_grey_is_taken_as_documented(values: Any, wanted: list[int]) -> None:
    found = np.asarray(to_rgb(Image.fromarray(values)))
    assert found[0, :, 0].tolist() == wanted
    assert (found == found[:, :, :1]).all()


def test_transparency_of_every_form_is_white() -> None:
    assert open_picture(ODD["palette and alpha"]).getpixel((5, 15)) == (255, 255, 255)
    assert open_picture(ODD["palette and alpha"]).getpixel((5, 5)) == (255, 0, 0)
    for mode, through in {"RGBA": "RGBA", "RGBa": "RGBA", "LA": "LA", "La": "LA", "PA": "PA"}.items():
        picture = Image.new("RGBA", (2, 2), (9, 9, 9, 0)).convert(through).convert(mode)
        assert to_rgb(picture).getpixel((0, 0)) == (255, 255, 255), mode
    marked = file(Image.new("RGB", (2, 2), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert open_picture(marked).getpixel((0, 0)) == (255, 255, 255)


def test_the_first_frame_is_taken() -> None:
    assert open_picture(ODD["moving"]).getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize(("orientation", "side"), list(enumerate("ttbblrrlt", start=1)))
def test_pictures_stand_upright(orientation: int, side: str) -> None:
    """Where the upper half of the file lies: top, bottom, left or right. Orientation 9 does not exist."""
    picture = Image.new("RGB", (40, 20), "blue")
    picture.paste("red", (0, 0, 40, 10))
    exif = picture.getexif()
    exif[0x0112] = orientation
    found = open_picture(file(picture, "PNG", exif=exif))
    assert found.size == ((20, 40) if side in "lr" else (40, 20))
    width, height = found.size
    places = {"t": (0, 0), "b": (0, height - 1), "l": (0, 0), "r": (width - 1, 0)}
    other = {"t": (0, height - 1), "b": (0, 0), "l": (width - 1, 0), "r": (0, 0)}
    assert found.getpixel(places[side]) == (255, 0, 0)
    assert found.getpixel(other[side]) == (0, 0, 255)


def test_metadata_that_cannot_be_read_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_picture: Image.Image) -> Image.Image:
        raise struct.error("unpack requires a buffer of 2 bytes")

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", broken)
    assert to_rgb(GREY).size == GREY.size


@pytest.mark.parametrize("side", [(20000, 1), (1, 20000)])
def test_a_line_stays_a_line(side: tuple[int, int]) -> None:
    picture = Image.new("RGB", side, "white")
    picture.putpixel((0, 0), (0, 0, 0))
    assert whole(picture, 64).size == (64, 64)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"<svg/>", "it is none of JPEG, PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "it is none of JPEG, PNG"),
        (drawn()[:200], "damaged or cut short"),
        (file(GREY.resize((400, 400)), "JPEG")[:-600], "damaged or cut short"),
        (file(GREY.resize((400, 400)), "GIF")[:-200], "damaged or cut short"),
        (png_header(30000, 30000), f"far too many pixels, at most {MAX_PIXELS}"),
        (png_header(0, 5), "cannot|can be read"),
    ],
)
def test_what_cannot_be_read_is_said(data: bytes, message: str) -> None:
    with pytest.raises(PictureError, match=message) as caught:
        open_picture(data)
    assert "0x" not in str(caught.value)  # no addresses
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_size_that_is_just_too_large_is_named() -> None:
    with pytest.raises(PictureError, match="has 10000 x 9000 pixels, at most"):
        open_picture(png_header(10000, 9000))


def test_pictures_that_are_no_picture_are_refused() -> None:
    with pytest.raises(PictureError, match="0 x 5 pixels: there is nothing to see"):
        to_rgb(Image.new("RGB", (0, 5)))
    with pytest.raises(PictureError, match="not numbers"):
        to_rgb(Image.fromarray(np.array([[0.0, np.nan]], np.float32)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_files_cut_anywhere_are_read_or_refused(kind: str) -> None:
    """Nothing but a picture or a `PictureError` comes out, wherever a file ends and whatever byte is wrong."""
    data = file(GREY.convert("RGB"), kind)
    for end in range(0, len(data), max(1, len(data) // 40)):
        for damaged in (data[:end], data[:end] + b"\xff" + data[end + 1 :]):
            with contextlib.suppress(PictureError):
                assert open_picture(damaged).mode == "RGB"
