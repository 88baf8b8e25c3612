"""Captions become noun phrases, and stamps are found or fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vlbm.data import stamps
from vlbm.data.compose import SIZE, nothing, plain, read_cutout, varied
from vlbm.data.stamps import find_stamps, head_noun, noun_phrase, read_stamps
from vlbm.errors import DataError


@pytest.mark.parametrize(
    ("caption", "phrase", "head"),
    [
        ("A brown hen.", "a brown hen", "hen"),
        ("A hoverfly resembles a honeybee drone.", "a hoverfly", "hoverfly"),
        ("A baby sheep (a lamb).", "a baby sheep", "sheep"),
        ("A pair of closed scissors.", "a pair of closed scissors", "scissors"),
        ("A castle in ruins.", "a castle in ruins", "castle"),
        ("A computer mouse. Squeak!", "a computer mouse", "mouse"),
        ("Two flowers.", "two flowers", "flowers"),
    ],
)
def test_captions_lose_their_trivia(caption: str, phrase: str, head: str) -> None:
    assert noun_phrase(caption) == phrase
    assert head_noun(phrase) == head


@pytest.mark.parametrize("caption", ["Boom!!!", "Say cheese!", "Saturn.", "Our moon.", ""])
def test_captions_that_name_nothing_are_left_out(caption: str) -> None:
    assert noun_phrase(caption) is None


def test_stamps_are_read_in_order(stamp_folder: Path) -> None:
    read = read_stamps(stamp_folder)
    assert [stamp.head for stamp in read] == ["ball", "box", "egg", "log", "moon", "plum", "pond", "wall"]
    assert read[0].phrase == "a red ball"


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no stamps with captions"):
        read_stamps(tmp_path)


def test_a_copy_in_the_cache_is_found(tmp_path: Path, stamp_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "INSTALLED", tmp_path / "none")
    place = tmp_path / stamps.PACKAGE / stamps.INSIDE
    place.parent.mkdir(parents=True)
    place.symlink_to(stamp_folder)
    assert find_stamps(tmp_path, lambda _text: None) == place


def test_without_debian_tools_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "INSTALLED", tmp_path / "none")
    monkeypatch.setattr("shutil.which", lambda _tool: None)
    with pytest.raises(DataError, match="apt-get is not here"):
        find_stamps(tmp_path / "cache", lambda _text: None)


def test_compositions_are_seeded(stamp_folder: Path) -> None:
    cutouts = [read_cutout(stamp.path) for stamp in read_stamps(stamp_folder)]
    for seed in range(4):
        first = varied(cutouts[0], lambda: cutouts[-1], np.random.default_rng(seed))
        assert first.size == (SIZE, SIZE)
        assert first.tobytes() == varied(cutouts[0], lambda: cutouts[-1], np.random.default_rng(seed)).tobytes()
        assert nothing(np.random.default_rng(seed)).size == (SIZE, SIZE)
    assert plain(cutouts[0]).getpixel((0, 0)) == (255, 255, 255)
