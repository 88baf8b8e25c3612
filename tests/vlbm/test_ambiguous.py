"""The list of ambiguous words: enough of them, two different meanings each, and contrasts that ask both ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlbm.data.sources.emoji import HELD_OUT_MAKER
from vlbm.errors import DataError
from vlbm.evaluation.ambiguous import Word, contrasts, picture, words

LANGUAGES = {"es", "fr", "de"}


def test_there_are_enough() -> None:
    found = words()
    assert len(found) >= 40
    assert len({word.word for word in found}) == len(found)


def test_meanings_differ_in_each_language_that_is_listed() -> None:
    for word in words():
        first, second = (sense.translations for sense in word.senses)
        assert first.keys() == second.keys(), word.word
        assert set() < set(first) <= LANGUAGES, word.word
        assert all(first[language].lower() != second[language].lower() for language in first), word.word
        assert not set(word.senses[0].pictures) & set(word.senses[1].pictures), word.word


def test_the_held_out_maker_is_shown_where_it_drew_the_thing() -> None:
    for word in words():
        for sense in word.senses:
            if any(f"/{HELD_OUT_MAKER}/" in name for name in sense.pictures):
                assert f"/{HELD_OUT_MAKER}/" in sense.pictures[0], word.word


@pytest.fixture
def bat() -> Word:
    return next(word for word in words() if word.word == "bat")


def test_contrasts_ask_each_language_both_ways(bat: Word, tmp_path: Path) -> None:
    for sense in bat.senses:
        path = picture(tmp_path, sense.pictures[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    found = contrasts([bat], tmp_path)
    assert len(found) == 6
    animal, stick = (example for example in found if example.language == "de")
    assert (animal.target, animal.wrong) == ("Fledermaus", "Schläger")
    assert (stick.target, stick.wrong) == ("Schläger", "Fledermaus")
    assert animal.pictures != stick.pictures
    assert {example.text for example in found} == {"bat"}


def test_sources_that_are_not_prepared_are_named(bat: Word, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="vlbm data prepare"):
        contrasts([bat], tmp_path)
