"""Data sets of the field, in small, and what is wrong with them in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.vlbm.conftest import drawn
from vlbm.data.readers.coco import read_coco
from vlbm.data.readers.flickr import read_flickr
from vlbm.data.readers.parallel import read_commute, read_multi30k
from vlbm.data.records import read_jsonl, write_jsonl
from vlbm.errors import DataError


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("1.jpg", "2.jpg"):
        (folder / name).write_bytes(drawn())
    return folder


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_coco(tmp_path: Path, pictures: Path) -> None:
    data = {
        "images": [{"id": 7, "file_name": "1.jpg"}, {"id": 8, "file_name": "gone.jpg"}],
        "annotations": [
            {"image_id": 7, "caption": "A disc. "},
            {"image_id": 9, "caption": "Nobody."},
            {"image_id": 7, "caption": " "},
            {"image_id": 8, "caption": "Gone."},
        ],
    }
    read = read_coco(written(tmp_path / "captions.json", json.dumps(data)), pictures)
    assert [(example.pictures[0].name, example.target) for example in read.examples] == [("1.jpg", "A disc.")]
    assert [str(problem) for problem in read.problems] == [
        "line 2: the annotation's image_id is not among the images",
        "line 3: the caption is empty",
        "line 4: picture 'gone.jpg' is not there",
    ]
    with pytest.raises(DataError, match="no file of COCO captions"):
        read_coco(written(tmp_path / "captions.json", "[]"), pictures)
    with pytest.raises(DataError, match="cannot be read"):
        read_coco(tmp_path / "none.json", pictures)


@pytest.mark.parametrize(
    "text",
    [
        "1.jpg#0\tA disc , red .\n2.jpg#0\tTwo.\n3.jpg#0\tGone.\n1.jpg no tab\n2.jpg#1\t \n",
        "image_name| comment_number| comment\n1.jpg| 0| A disc , red .\n2.jpg| 0| Two.\n"
        "3.jpg| 0| Gone.\n1.jpg 4\n2.jpg| 1| \n",
        'image,caption\n1.jpg,"A disc , red ."\n2.jpg,Two.\n3.jpg,Gone.\n1.jpg\n2.jpg,\n',
    ],
)
def test_flickr(tmp_path: Path, pictures: Path, text: str) -> None:
    read = read_flickr(written(tmp_path / "captions", text), pictures)
    assert [(e.pictures[0].name, e.target) for e in read.examples] == [("1.jpg", "A disc , red ."), ("2.jpg", "Two.")]
    assert "'3.jpg' is not there" in read.problems[0].message
    assert "wanted" in read.problems[1].message or "no tab" in read.problems[1].message
    assert read.problems[2].message == "the caption is empty"
    with pytest.raises(DataError, match="cannot be read"):
        read_flickr(tmp_path / "none", pictures)


def test_multi30k(tmp_path: Path, pictures: Path) -> None:
    source = written(tmp_path / "train.en", "a bat\ntwo\nthree\n")
    target = written(tmp_path / "train.de", "ein Schläger\nzwei\n\n")
    names = written(tmp_path / "train.txt", "1.jpg#0\n3.jpg\n2.jpg\n")
    read = read_multi30k(source, target, names, pictures, language="de")
    assert [(e.text, e.target, e.task, e.language) for e in read.examples] == [
        ("a bat", "ein Schläger", "translate", "de")
    ]
    assert [str(p) for p in read.problems] == ["line 2: picture '3.jpg' is not there", "line 3: a text is empty"]
    with pytest.raises(DataError, match=r"as many lines as each other: train.en 3, train.de 3, short 1"):
        read_multi30k(source, target, written(tmp_path / "short", "1.jpg\n"), pictures, language="de")


def test_commute(tmp_path: Path, pictures: Path) -> None:
    source = written(tmp_path / "src", "the bat\nthe bat\nsame\n")
    right = written(tmp_path / "right", "le chauve-souris\nla batte\nx\n")
    wrong = written(tmp_path / "wrong", "la batte\nle chauve-souris\nx\n")
    names = written(tmp_path / "img", "1.jpg\n2.jpg\n1.jpg\n")
    read = read_commute(source, right, wrong, names, pictures, language="fr")
    assert [(e.pictures[0].name, e.text, e.target, e.wrong, e.task, e.language) for e in read.examples] == [
        ("1.jpg", "the bat", "le chauve-souris", "la batte", "translate", "fr"),
        ("2.jpg", "the bat", "la batte", "le chauve-souris", "translate", "fr"),
    ]
    write_jsonl(pictures / "data.jsonl", read.examples)
    assert read_jsonl(pictures / "data.jsonl").examples == read.examples
    assert [str(problem) for problem in read.problems] == ["line 3: the right and the wrong translation are the same"]
    empty = written(tmp_path / "empty", "\n")
    with pytest.raises(DataError, match="no usable example; line 1: a text is empty"):
        read_commute(empty, empty, empty, empty, pictures, language="fr")
    with pytest.raises(DataError, match="cannot be read"):
        read_commute(source, right, wrong, tmp_path / "none", pictures, language="fr")


def test_other_encodings_are_an_error_in_words(tmp_path: Path, pictures: Path) -> None:
    bad = tmp_path / "latin"
    bad.write_bytes("1.jpg#0\tgrün\n".encode("latin-1"))
    with pytest.raises(DataError, match="latin is not UTF-8"):
        read_flickr(bad, pictures)
    with pytest.raises(DataError, match="latin is not UTF-8"):
        read_multi30k(bad, bad, bad, pictures, language="de")
    marked = tmp_path / "marked"
    marked.write_bytes("1.jpg#0\tgrün\r\n".encode("utf-8-sig"))
    assert read_flickr(marked, pictures).examples[0].target == "grün"
