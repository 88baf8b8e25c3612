"""Photos of pages: drawn the same each time, readable, and summarised both ways."""

from __future__ import annotations

import json

import pytest

from tests.written import png, written
from vlbm.engine import Engine
from vlbm.evaluation.pages import LIST, Page, character_errors, page_rows, pages, photo_of
from vlbm.reading import read

TEXT = "The ferry to the island leaves at nine every day of the week."
PAGE = png(written(["The ferry to the island leaves at", "nine every day of the week."], size=(560, 180)))
OTHER = png(written(["A garden without poison is less", "work than most people think."], size=(560, 180)))


def test_the_list_has_twenty_pages_drawn_from_their_place() -> None:
    found = pages(2)
    assert found == pages(2)
    assert len({page.photo for page in found}) == 2
    assert len({json.loads(line)["name"] for line in LIST.read_text(encoding="utf-8").splitlines()}) == 20


def test_a_photo_is_read_nearly_whole() -> None:
    assert character_errors(read(photo_of(TEXT, seed=3)).text, TEXT) < 0.05
    assert photo_of(TEXT, seed=3).tobytes() != photo_of(TEXT, seed=4).tobytes()


def test_a_page_whose_lines_look_turned_is_read_either_way_up() -> None:
    texts = [json.loads(line)["text"] for line in LIST.read_text(encoding="utf-8").splitlines()]
    page = photo_of(texts[11], seed=11)
    assert character_errors(read(page).text, texts[11]) < 0.01
    assert character_errors(read(page.rotate(180)).text, texts[11]) < 0.01


@pytest.mark.parametrize(
    ("said", "errors"), [("a cat", 0), ("a  cat\n", 0), ("a cut", 0.2), ("cat", 0.4), ("a cats", 0.2), ("", 1)]
)
def test_letters_are_changed_removed_or_added(said: str, errors: float) -> None:
    assert character_errors(said, "a cat") == pytest.approx(errors)


def test_a_page_is_summarised_both_ways(engine: Engine) -> None:
    same, different = page_rows(engine, [Page("ferry", TEXT, PAGE), Page("mixed", TEXT, OTHER)], max_tokens=12)
    assert (same.name, same.errors, same.rouge, same.read) == ("ferry", 0, 1, TEXT)
    assert same.from_photo == same.from_text
    assert different.errors > 0.5
    assert different.read.startswith("A garden")
    assert different.from_photo != different.from_text
