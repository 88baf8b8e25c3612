import hashlib
import io
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import pytest
from PIL import Image

from assistant.domain.errors import AssistantError, LimitReached, PictureError
from assistant.images import ImageLimits, NormalisedPicture, normalise
from tests import pictures

Colour = tuple[int, int, int]
WHITE = (255, 255, 255)


def opened(picture: NormalisedPicture) -> Image.Image:
    return Image.open(io.BytesIO(picture.data))


def colour(picture: NormalisedPicture, x: float, y: float = 0.5) -> Colour:
    """The colour at a place, given as shares of width and height."""
    image = opened(picture)
    found = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(found, tuple)
    return found[0], found[1], found[2]


def near(found: Colour, expected: Colour, by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(found, expected, strict=True))


def grey(rgb: Colour) -> Colour:
    value = round(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2])
    return value, value, value


# --- What is kept -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "left", "right"),
    [
        pytest.param(pictures.jpeg(), pictures.RED, pictures.BLUE, id="jpeg"),
        pytest.param(pictures.jpeg(progressive=True), pictures.RED, pictures.BLUE, id="progressive jpeg"),
        pytest.param(pictures.png("RGB"), pictures.RED, pictures.BLUE, id="png rgb"),
        pytest.param(pictures.png("RGBA"), pictures.RED, pictures.BLUE, id="png rgba"),
        pytest.param(pictures.png("P"), pictures.RED, pictures.BLUE, id="png palette"),
        pytest.param(pictures.png("L"), grey(pictures.RED), grey(pictures.BLUE), id="png grey"),
        pytest.param(pictures.png("LA"), grey(pictures.RED), grey(pictures.BLUE), id="png grey alpha"),
        pytest.param(pictures.png_palette_transparent(), WHITE, pictures.BLUE, id="png palette transparent"),
        pytest.param(pictures.png_clear("RGBA"), WHITE, WHITE, id="png clear"),
        pytest.param(pictures.png_clear("LA"), WHITE, WHITE, id="png grey clear"),
        pytest.param(pictures.webp(), pictures.RED, pictures.BLUE, id="webp"),
        pytest.param(pictures.gif(), pictures.RED, pictures.BLUE, id="still gif"),
    ],
)
def test_every_kind_that_is_read_becomes_a_plain_rgb_jpeg(data: bytes, left: Colour, right: Colour) -> None:
    kept = normalise(data)
    image = opened(kept)
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 48))
    assert (kept.width, kept.height, kept.resized) == (64, 48, False)
    assert kept.sha256 == hashlib.sha256(kept.data).hexdigest()
    assert near(colour(kept, 0.25), left)
    assert near(colour(kept, 0.75), right)


def test_one_bit_a_pixel() -> None:
    picture = Image.new("1", (32, 32), 0)
    picture.paste(1, (16, 0, 32, 32))
    kept = normalise(pictures.save(picture, "PNG"))
    assert near(colour(kept, 0.2), (0, 0, 0))
    assert near(colour(kept, 0.8), WHITE)


def test_cmyk_is_converted() -> None:
    kept = normalise(pictures.jpeg_cmyk())
    assert opened(kept).mode == "RGB"
    red, green, blue = colour(kept, 0.25)
    assert red > 150 > 100 > green
    assert colour(kept, 0.75)[2] > 150 > 100 > blue


@pytest.mark.parametrize("value", [0, 256, 0x1234, 32768, 49152, 65535])
def test_sixteen_bits_are_scaled_to_eight(value: int) -> None:
    expected = value >> 8
    assert near(colour(normalise(pictures.png_16_bit(value)), 0.5), (expected, expected, expected), by=2)


def test_sixteen_bits_with_a_transparent_grey() -> None:
    assert normalise(pictures.png_16_bit(65535, transparency=65535)).width == 16


@pytest.mark.parametrize(
    ("orientation", "red", "size"),
    [
        (1, (0.1, 0.5), (64, 48)),
        (2, (0.9, 0.5), (64, 48)),
        (3, (0.9, 0.5), (64, 48)),
        (4, (0.1, 0.5), (64, 48)),
        (5, (0.5, 0.1), (48, 64)),
        (6, (0.5, 0.1), (48, 64)),
        (7, (0.5, 0.9), (48, 64)),
        (8, (0.5, 0.9), (48, 64)),
    ],
)
def test_pictures_are_turned_upright(orientation: int, red: tuple[float, float], size: tuple[int, int]) -> None:
    """What was red on the left lies where the EXIF orientation puts it, and is not turned a second time."""
    kept = normalise(pictures.jpeg_turned(orientation))
    assert (kept.width, kept.height) == opened(kept).size == size
    assert near(colour(kept, *red), pictures.RED, by=40)
    assert near(colour(kept, 1 - red[0], 1 - red[1]), pictures.BLUE, by=40)
    assert 0x0112 not in opened(kept).getexif()


def test_places_and_names_are_dropped() -> None:
    data = pictures.jpeg_with_metadata()
    assert pictures.GPS in data
    kept = normalise(data)
    assert pictures.GPS not in kept.data
    assert not opened(kept).getexif()
    assert {"exif", "icc_profile", "xmp"}.isdisjoint(opened(kept).info)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(pictures.jpeg_with_metadata(comment=pictures.GPS), id="jpeg comment"),
        pytest.param(pictures.png_with_text("comment", pictures.GPS.decode()), id="png text"),
    ],
)
def test_comments_are_dropped(data: bytes) -> None:
    assert pictures.GPS not in normalise(data).data


def test_a_comment_that_no_jpeg_can_hold_does_no_harm() -> None:
    normalise(pictures.png_with_text("comment", "x" * 70_000))


@pytest.mark.parametrize(("key", "text"), [("Title", "x"), ("XML:com.adobe.xmp", "x"), ("dpi", "x")])
def test_text_chunks_do_no_harm(key: str, text: str) -> None:
    assert normalise(pictures.png_with_text(key, text)).width == 64


def test_a_jpeg_with_broken_metadata_is_read() -> None:
    assert normalise(pictures.jpeg(exif=b"Exif\x00\x00no TIFF header")).width == 64


def test_a_png_with_broken_metadata_is_read() -> None:
    assert normalise(pictures.png_with_text("exif", "x")).width == 64


@pytest.mark.parametrize(
    ("size", "kept", "resized"),
    [
        ((1568, 1), (1568, 1), False),
        ((1569, 10), (1568, 10), True),
        ((3136, 1000), (1568, 500), True),
        ((1000, 3136), (500, 1568), True),
        ((1, 1), (1, 1), False),
        ((20_000, 1), (1568, 1), True),
        ((1, 20_000), (1, 1568), True),
    ],
)
def test_large_pictures_are_scaled_down_and_say_so(size: tuple[int, int], kept: tuple[int, int], resized: bool) -> None:
    picture = normalise(pictures.png(size=size))
    assert ((picture.width, picture.height), picture.resized) == (kept, resized)
    assert opened(picture).size == kept


def test_a_turned_picture_is_not_called_resized() -> None:
    assert not normalise(pictures.jpeg_turned(6)).resized


def test_a_phone_s_jpeg_with_a_second_picture_behind_it_is_read() -> None:
    kept = normalise(pictures.jpeg_multi_picture())
    assert near(colour(kept, 0.25), pictures.RED)


@pytest.mark.parametrize("make", [pictures.animated_gif, pictures.animated_webp, pictures.animated_png])
def test_of_an_animation_the_first_frame_is_kept_and_it_says_so(make: Callable[[], bytes]) -> None:
    kept = normalise(make())
    assert kept.animated
    assert near(colour(kept, 0.5), pictures.RED, by=40)


def test_a_still_picture_is_not_called_animated() -> None:
    assert not any(normalise(data).animated for data in (pictures.gif(), pictures.jpeg_multi_picture(), pictures.png()))


def test_an_animation_whose_second_frame_is_damaged_is_its_first() -> None:
    whole = pictures.animated_gif()
    assert near(colour(normalise(whole[:-12]), 0.5), pictures.RED, by=40)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_and_avif_are_read_upright(orientation: int) -> None:
    for data in (pictures.heic_turned(orientation), pictures.avif_turned(orientation)):
        kept = normalise(data)
        assert (kept.width, kept.height) == ((64, 48) if orientation in (1, 3) else (48, 64))
        red = {1: (0.1, 0.5), 3: (0.9, 0.5), 6: (0.5, 0.1), 8: (0.5, 0.9)}[orientation]
        assert near(colour(kept, *red), pictures.RED, by=40)
        assert not opened(kept).getexif()


def test_heic_without_its_decoder_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.images.intake._loads_heic", lambda: False)
    with pytest.raises(PictureError, match="HEIC pictures are not read here: send a JPEG"):
        normalise(pictures.heic_turned(1))


# --- What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (pictures.empty, "image_empty"),
        (pictures.text, "image_unsupported"),
        (pictures.svg, "image_unsupported"),
        (pictures.heic, "image_damaged"),
        (lambda: pictures.save(pictures.halves(), "BMP"), "image_unsupported"),
        (lambda: pictures.save(pictures.halves(), "TIFF"), "image_unsupported"),
        (pictures.truncated_jpeg, "image_truncated"),
        (pictures.truncated_png, "image_truncated"),
        (lambda: b"\xff\xd8\xff", "image_damaged"),
        (lambda: pictures.png()[:20], "image_truncated"),
        (pictures.bomb_png, "image_too_many_pixels"),
        (lambda: pictures.bomb_png(5001, 5000), "image_too_many_pixels"),
        (lambda: pictures.bomb_png(10_000, 10_000), "image_too_many_pixels"),
        (lambda: pictures.bomb_png(2**31 - 1, 2**31 - 1), "image_too_many_pixels"),
        (lambda: pictures.bomb_jpeg(60_000, 60_000), "image_too_many_pixels"),
        (lambda: pictures.bomb_jpeg(6_000, 6_000), "image_too_many_pixels"),
        (pictures.eleven_megabytes, "image_too_large"),
    ],
)
def test_every_bad_picture_has_its_code(make: Callable[[], bytes], code: str) -> None:
    with pytest.raises(AssistantError) as refused:
        normalise(make())
    assert refused.value.code == code
    assert "\n" not in refused.value.message
    assert refused.value.message.endswith(".")


def test_limits_are_exact_and_named_in_the_message() -> None:
    limits = ImageLimits(bytes=2 * 1024 * 1024, pixels=3_000_000, side=16)
    limits.check_bytes(2 * 1024 * 1024)
    with pytest.raises(LimitReached, match=r"2\.0 MB; at most 2 MB"):
        limits.check_bytes(2 * 1024 * 1024 + 1)
    with pytest.raises(PictureError):
        limits.check_bytes(-1)
    with pytest.raises(LimitReached, match="2000 x 2000 pixels; at most 3 megapixels"):
        normalise(pictures.bomb_png(2000, 2000), limits)
    exact = ImageLimits(pixels=64 * 48, side=16)
    assert normalise(pictures.png(), exact).width == 16
    with pytest.raises(LimitReached):
        normalise(pictures.png(), ImageLimits(pixels=64 * 48 - 1))


def test_an_absurd_size_is_refused_by_name() -> None:
    with pytest.raises(LimitReached):
        ImageLimits().check_bytes(10**400)


def test_nothing_of_a_bomb_is_decoded() -> None:
    """4.8 GB as pixels: refused within a small, fixed amount of memory, Pillow's own included."""
    program = (
        "import sys\n"
        "peak = lambda: int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])\n"
        "from assistant.images import normalise\n"
        "from tests import pictures\n"
        "bombs = [pictures.bomb_png(), pictures.bomb_png(10_000, 10_000), pictures.bomb_jpeg(6_000, 6_000)]\n"
        "normalise(pictures.jpeg())\n"
        "before = peak()\n"
        "for bomb in bombs:\n"
        "    try:\n"
        "        normalise(bomb)\n"
        "    except Exception as error:\n"
        "        assert error.code == 'image_too_many_pixels', error\n"
        "    else:\n"
        "        sys.exit('taken')\n"
        "print(peak() - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 8 * 1024  # KiB


def test_too_many_bytes_are_refused_before_anything_is_read() -> None:
    data = pictures.eleven_megabytes()
    tracemalloc.start()
    try:
        with pytest.raises(LimitReached):
            normalise(data)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


# --- Anything at all ----------------------------------------------------------------------------------------------

WHOLE = [
    pictures.jpeg(),
    pictures.jpeg_with_metadata(),
    pictures.jpeg_turned(6),
    pictures.jpeg_cmyk(),
    pictures.png(),
    pictures.png_palette_transparent(),
    pictures.png("LA"),
    pictures.png_16_bit(99),
    pictures.animated_png(),
    pictures.webp(),
    pictures.animated_webp(),
    pictures.gif(),
    pictures.heic_turned(6),
    pictures.avif_turned(6),
]


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damage; what counts is what is raised
@pytest.mark.parametrize("whole", WHOLE, ids=range(len(WHOLE)))
def test_a_picture_cut_anywhere_is_taken_or_refused_by_name(whole: bytes) -> None:
    for end in range(0, len(whole), 3):
        _taken_or_refused(whole[:end])


@pytest.mark.filterwarnings("ignore")
def test_an_animated_gif_cut_anywhere_is_taken_or_refused_by_name() -> None:
    whole = pictures.animated_gif()
    for end in range(len(whole)):
        _taken_or_refused(whole[:end])


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_picture_is_taken_or_refused_by_name() -> None:
    chance = random.Random(7)
    for _ in range(3000):
        data = bytearray(chance.choice(WHOLE))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(data))
            match chance.randrange(3):
                case 0:
                    data[place] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
                case 1:
                    del data[max(place, 12) : max(place, 12) + chance.randint(1, 40)]
                case _:
                    data[place:place] = data[place : place + chance.randint(1, 30)]
        _taken_or_refused(bytes(data))


def _taken_or_refused(data: bytes) -> None:
    try:
        kept = normalise(data)
    except AssistantError:
        return
    assert opened(kept).size == (kept.width, kept.height)


def test_the_same_bytes_give_the_same_hash() -> None:
    assert normalise(pictures.jpeg()) == normalise(pictures.jpeg())


def test_peak_memory_of_the_largest_picture_is_bounded() -> None:
    """25 megapixels: at most a few copies of their 75 MB."""
    program = (
        "peak = lambda: int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])\n"
        "from assistant.images import normalise\n"
        "from tests import pictures\n"
        "data = pictures.png('1', (5000, 5000))\n"
        "assert normalise(data).resized\n"
        "print(peak())\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 600 * 1024
