"""Ambiguous English words, each with pictures of two meanings and what each meaning is called in other languages.

The list, `ambiguous.json`, names pictures of the prepared sources as `source/path`; the first of a meaning is the one
an exam shows, a held-out maker's where there is one. Languages in which both meanings have one word are left out. It
knows files and words, not models.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlbm.data.prepared import PICTURES
from vlbm.data.records import Example
from vlbm.errors import DataError

LIST = Path(__file__).with_name("ambiguous.json")


@dataclass(frozen=True, slots=True)
class Sense:
    """One meaning: pictures as `source/path`, and its word by language."""

    pictures: tuple[str, ...]
    translations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Word:
    """An English word with two meanings."""

    word: str
    senses: tuple[Sense, Sense]


def words() -> list[Word]:
    """All words, in the list's order."""
    listed = json.loads(LIST.read_text(encoding="utf-8"))["words"]
    return [Word(row["word"], (_sense(row["senses"][0]), _sense(row["senses"][1]))) for row in listed]


def _sense(row: dict[str, Any]) -> Sense:
    return Sense(tuple(row["pictures"]), dict(row["translations"]))


def picture(data_dir: Path, name: str) -> Path:
    """Where a picture of the list lies in the cache of prepared sources."""
    source, _, inside = name.partition("/")
    return data_dir / source / PICTURES / inside


def contrasts(asked: list[Word], data_dir: Path) -> list[Example]:
    """For each word, language and meaning an example with the right translation and the other meaning's as the wrong.

    The concept is the word; examples of the two meanings stand side by side.

    Args:
        asked: the words.
        data_dir: the cache of prepared sources.

    Raises:
        DataError: a picture is not there.
    """
    found = []
    for word in asked:
        shown = [picture(data_dir, sense.pictures[0]) for sense in word.senses]
        if missing := next((path for path in shown if not path.is_file()), None):
            raise DataError(f"{missing} is not there: run `vlbm data prepare`")
        for language, first in word.senses[0].translations.items():
            pair = (first, word.senses[1].translations[language])
            for path, right, wrong in zip(shown, pair, reversed(pair), strict=True):
                found.append(Example((path,), right, "translate", word.word, language, word.word, wrong=wrong))
    return found
