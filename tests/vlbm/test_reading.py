"""Words in pictures, read with the real models."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.written import written
from vlbm.errors import PictureError, ReadingMissing
from vlbm.reading import Line, read, reader
from vlbm.reading.fitting import MARGIN, MOST_PIXELS, MOST_RATIO, fit
from vlbm.reading.layout import arrange

SIGN = ["Please mind", "the low step"]


def test_reads_what_is_written_and_where() -> None:
    reading = read(written(SIGN))
    assert [line.text for line in reading.lines] == SIGN
    assert (reading.width, reading.height, reading.notes, reading.words) == (480, 240, (), 5)
    for number, line in enumerate(reading.lines):
        (left, top), (right, _), _, (_, bottom) = line.box
        assert line.confidence > 0.9
        assert 15 <= left <= 35
        assert 150 <= right <= 260
        assert top <= 30 + 45 * number + 15 <= bottom  # the middle of what was drawn


@pytest.mark.parametrize("angle", [3, -3, 180])
def test_a_tilted_or_upside_down_page_is_read_in_order(angle: int) -> None:
    words = ["The boat left at noon, with", "seven people and a dog on", "board.", "", "It came back"]
    page = written(words, size=(480, 260), ground="ivory").rotate(
        angle, Image.Resampling.BICUBIC, expand=True, fillcolor="ivory"
    )
    assert read(page).text == "The boat left at noon, with seven people and a dog on board.\n\nIt came back"


@pytest.mark.parametrize("word", ["Open", "PUSH", "NO", "SOS"])
def test_a_word_is_turned_only_where_it_reads_better(word: str) -> None:
    sign = written([word], size=(200, 100))
    assert read(sign).text == word
    turned = {"NO": "ON"}.get(word, word)
    assert read(sign.rotate(180)).text == turned


def test_a_picture_without_words_says_nothing() -> None:
    for picture in (Image.new("RGB", (200, 120), "teal"), Image.new("L", (1, 1)), Image.linear_gradient("L")):
        reading = read(picture)
        assert (reading.lines, reading.text, reading.words) == ((), "", 0)


def test_a_sign_of_any_size_and_shape_is_read_and_what_was_done_is_said() -> None:
    tiny = read(written(["OK"], size=(26, 20), font=9))
    assert tiny.text == "OK"
    assert tiny.notes == ("enlarged to 104 x 80 pixels to be read",)
    strip = read(written(["Way out"], size=(500, 60), font=24))
    assert strip.text == "Way out"
    assert strip.notes == ("letterboxed: 500 x 60 pixels are a strip, laid on a ground to be read",)
    (left, top), _, (right, bottom), _ = strip.lines[0].box
    assert 10 <= left < right <= 150
    assert 0 <= top < bottom <= 60


@pytest.mark.parametrize("size", [(9000, 6000), (12000, 40), (40, 12000), (1, 3000), (24, 16), (1, 1), (640, 480)])
def test_what_the_detector_sees_is_bounded(size: tuple[int, int]) -> None:
    fitted = fit(Image.new("RGB", size))
    width, height = fitted.picture.size
    assert width * height <= MOST_PIXELS * 1.2
    assert max(width, height) <= MOST_RATIO * min(width, height) + 2 * MARGIN
    corner = fitted.back(np.array([[fitted.left, fitted.top]]), *size)
    assert corner.tolist() == [[0, 0]]
    far = (fitted.left + size[0] * fitted.scale, fitted.top + size[1] * fitted.scale)
    assert fitted.back(np.array(far), *size) == pytest.approx(size)


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(PictureError, match="0 x 4 pixels"):
        read(Image.new("RGB", (0, 4)))


@pytest.fixture
def fresh() -> Iterator[None]:
    """Models are loaded anew, before and after."""
    reader._ocr.cache_clear()
    yield
    reader._ocr.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    with pytest.raises(ReadingMissing, match=r"cannot be read \(.*rapidocr_onnxruntime.*\): pip install 'vlbm-assi"):
        read(written(SIGN))


def line(text: str, left: float, top: float, letter: float = 10, height: float = 20) -> Line:
    right, bottom = left + len(text) * letter, top + height
    return Line(text, 1.0, ((left, top), (right, top), (right, bottom), (left, bottom)))


def test_words_hyphenated_at_the_end_of_a_line_are_joined() -> None:
    _, text = arrange([line("a photo-", 0, 0), line("graph of", 0, 30), line("a self", 0, 60)])
    assert text == "a photograph of a self"
    assert arrange([line("on page 4-", 0, 0), line("and on 5", 0, 30)])[1] == "on page 4- and on 5"


def test_a_row_that_was_ended_ends_and_a_full_one_goes_on() -> None:
    rows = ["Eggs", "Two loaves of bread and", "butter", "", "Milk"]
    _, text = arrange([line(row, 0, 30 * number) for number, row in enumerate(rows) if row])
    assert text == "Eggs\nTwo loaves of bread and butter\n\nMilk"


def test_columns_are_read_one_after_the_other_below_their_title() -> None:
    left = [line("prose that fills a line", 0, 30 * row) for row in range(2, 6)]
    right = [line("prose in another column", 300, 30 * row) for row in range(2, 6)]
    title = line("A title that stands over both of the columns", 50, 0)
    ordered, text = arrange([*right, title, *left])
    assert list(ordered) == [title, *left, *right]
    assert text.count("\n\n") == 2


def test_a_menu_is_read_across() -> None:
    dishes = [("Tomato soup", "4.50"), ("Grilled fish with lemon", "12.00"), ("Coffee", "2.80"), ("Tea", "2.60")]
    boxes = [
        part
        for row, (dish, price) in enumerate(dishes)
        for part in (line(price, 400, 30 * row), line(dish, 0, 30 * row))
    ]
    assert arrange(boxes)[1] == "\n".join(f"{dish} {price}" for dish, price in dishes)


def test_a_space_is_where_its_probability_is_enough() -> None:
    alphabet = ["blank", "a", "b", " "]
    steps = [[0.1, 0.9, 0, 0], [0.1, 0.9, 0, 0], [0.9, 0, 0, 0.1], [0, 0, 1, 0], [0.98, 0, 0, 0.02], [0, 0, 1, 0]]
    text, confidence = reader.decode(np.array(steps), alphabet)
    assert text == "a bb"
    assert confidence == pytest.approx(2.9 / 3)
    assert reader.decode(np.array([[1.0, 0, 0, 0]]), alphabet) == ("", 0.0)


def test_what_only_looks_like_letters_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LEAST_CONFIDENCE", 1.01)
    assert read(written(SIGN)).lines == ()


def test_full_width_signs_become_plain_unless_the_line_is_chinese() -> None:
    assert reader._plain("noon\N{FULLWIDTH COMMA} tea") == "noon, tea"
    assert reader._plain("茶\N{FULLWIDTH COMMA}") == "茶\N{FULLWIDTH COMMA}"
