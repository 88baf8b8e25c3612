"""Real photos from elsewhere: more than half are named, and it is the picture that does it.

The photos were labelled before any was tried, and nothing was tuned on them.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.vlbm.conftest import ROOT
from vlbm.errors import DataError
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.section import share
from vlbm.evaluation.card.things import NONE, SHUFFLED, Answers, Thing, ask
from vlbm.evaluation.photos import LIST, Photo, _read, _take_debian, foreign_photos, named, read_rcc

FARM = "explore_farm_animals"
OBJECTS = ("cup.webp", "chair.webp", "baseball.webp", "plate.webp", "pillow.webp")
PACKAGES = ("gcompris-qt-data", "scikit-image", "ultralytics", "gradio")


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    """Nine animals of a farm, a lion, a cat, a bus, a coffee and five things: fixed before any was tried."""
    cache = Path(os.environ.get("VLBM_TEST_PHOTOS", ROOT / ".cache" / "photos"))
    found = foreign_photos(cache, PACKAGES, unpacked=ROOT / ".cache" / "testdata")

    def chosen(photo: Photo) -> bool:
        things = "categorization" in photo.path and Path(photo.path).name in OBJECTS
        return FARM in photo.path or things or Path(photo.path).stem in ("lion", "chelsea", "bus", "coffee")

    return [photo for photo in found if chosen(photo)]


@pytest.fixture(scope="module")
def answers(photos: list[Photo], packaged: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    folder = tmp_path_factory.mktemp("nothing")
    model, processor = packaged
    bench = Bench(model=model, processor=processor, data=folder, photos=folder, cache=folder, tell=lambda *_: None)
    return ask(bench, "", [Thing(photo.name, photo.data, photo.words) for photo in photos], (SHUFFLED, NONE))


def test_more_than_half_are_named(answers: Answers) -> None:
    assert len(answers.things) == 18
    assert share(answers.hits).value > 50, [(row.shown, row.said) for row in answers.rows()]


def test_another_picture_is_not_named(answers: Answers) -> None:
    assert share(answers.baselines[SHUFFLED]).value <= 10
    assert share(answers.baselines[NONE]).value <= 10


def test_words_are_matched_whole() -> None:
    assert named("I see two Cats.", ("cat",))
    assert named("It is a bus.", ("bus", "coach"))
    assert not named("A category of things.", ("cat",))


def test_another_photo_than_the_labelled_one_is_refused(tmp_path: Path) -> None:
    row = {"package": "p", "path": "a.jpg", "sha256": "0" * 64, "words": ["cat"]}
    (tmp_path / "a.jpg").write_bytes(b"other")
    with pytest.raises(DataError, match="not the photo that was labelled"):
        _read(tmp_path, row)


def test_a_resource_collection_is_read() -> None:
    def name(text: str) -> bytes:
        return struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")

    names = name("") + name("a.txt")
    tree = struct.pack(">IHII", 0, 2, 1, 1) + bytes(8) + struct.pack(">IHHHI", len(name("")), 0, 0, 0, 0) + bytes(8)
    blob = struct.pack(">I", 5) + b"hello"
    header = b"qres" + struct.pack(">IIII", 2, 20, 20 + len(tree), 20 + len(tree) + len(blob))
    assert list(read_rcc(header + tree + blob + names)) == [("a.txt", b"hello")]
    with pytest.raises(DataError, match="not a Qt resource"):
        list(read_rcc(b"zip"))


def test_the_list_has_each_photo_once_and_its_words_can_match() -> None:
    listed = json.loads(LIST.read_text(encoding="utf-8"))
    photos = listed["photos"]
    assert len(photos) >= 100
    assert len({photo["sha256"] for photo in photos}) == len(photos)
    assert {photo["package"] for photo in photos} == set(listed["packages"])
    for photo in photos:
        assert all(named(f"It is a {word}.", (word,)) for word in photo["words"]), photo


def test_plain_files_of_a_debian_package_are_taken(tmp_path: Path) -> None:
    picture = tmp_path / "unpacked" / "usr" / "share" / "a.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"a photo")
    _take_debian(tmp_path / "unpacked", {"usr/share/a.jpg", "usr/share/b.jpg"}, tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").rglob("*.*")] == ["a.jpg"]
