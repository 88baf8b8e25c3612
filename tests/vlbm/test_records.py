"""The native format: what is read, what is left out and with which words; and splits that leak."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.vlbm.conftest import ROOT, drawn
from vlbm.data.records import Example, parse, read_jsonl, write_jsonl
from vlbm.data.splits import check_splits
from vlbm.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cats").mkdir()
    for number, name in enumerate(("1.jpg", "2.jpg", "cats/1.jpg", "cats/2.jpg")):
        (tmp_path / name).write_bytes(drawn(size=(300 + number, 200)))
    return tmp_path


def test_the_documents_example_is_read_and_written_back(folder: Path) -> None:
    text = re.search(r"```jsonl\n(.*?)```", (ROOT / "docs/data.md").read_text(encoding="utf-8"), re.DOTALL)
    assert text
    (folder / "data.jsonl").write_text(text[1] + "\n\n", encoding="utf-8")
    read = read_jsonl(folder / "data.jsonl")
    assert not read.problems
    assert [example.task for example in read.examples] == ["caption", "translate", "summarise", "chat"]
    assert read.examples[2].pictures == (folder / "1.jpg", folder / "2.jpg")
    assert read.of("train") == read.examples[:1]
    assert write_jsonl(folder / "again.jsonl", read.examples) == 4
    assert read_jsonl(folder / "again.jsonl") == read


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[]", "a JSON object is wanted, this is list"),
        ('{"image": "1.jpg"}', "'target' must be a text that is not empty"),
        ('{"image": "1.jpg", "target": " "}', "'target' must be a text that is not empty"),
        ('{"image": "1.jpg", "target": "a", "caption": "b"}', "unknown key 'caption': use image, images, target"),
        ('{"image": "1.jpg", "target": "a", "task": "sing"}', "unknown task 'sing': use one of caption, translate"),
        ('{"image": "1.jpg", "target": "a", "language": 3}', "'language' must be a text, this is int"),
        ('{"image": "1.jpg", "images": [], "target": "a"}', "'image' or 'images', not both"),
        ('{"images": "1.jpg", "target": "a"}', "'images' must be a list"),
        ('{"image": 3, "target": "a"}', "name must be a text"),
        ('{"image": "../1.jpg", "target": "a"}', "must lie inside"),
        ('{"image": "/etc/passwd", "target": "a"}', "must lie inside"),
        ('{"image": "3.jpg", "target": "a"}', "picture '3.jpg' is not there"),
        ('{"image": "1.jpg", "target": "\\ud800"', "not JSON"),
    ],
)
def test_a_broken_line_is_named_and_the_rest_is_kept(folder: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(line.encode(), folder)
    (folder / "data.jsonl").write_text(f'{{"image": "1.jpg", "target": "a"}}\n{line}\n', encoding="utf-8")
    read = read_jsonl(folder / "data.jsonl")
    assert len(read.examples) == 1
    assert str(read.problems[0]).startswith("line 2: ")


def test_bytes_that_are_no_text_are_one_line(folder: Path) -> None:
    (folder / "data.jsonl").write_bytes(b'{"target": "\xff"}\n{"target": "a"}\n')
    read = read_jsonl(folder / "data.jsonl")
    assert (len(read.examples), read.problems[0].line) == (1, 1)


def test_a_file_without_use_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_jsonl(folder / "none.jsonl")
    (folder / "data.jsonl").write_text("{\n", encoding="utf-8")
    with pytest.raises(DataError, match="no usable example; line 1: not JSON"):
        read_jsonl(folder / "data.jsonl")
    (folder / "data.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"no usable example$"):
        read_jsonl(folder / "data.jsonl")


def test_splits_that_leak_are_refused(folder: Path) -> None:
    def one(name: str, concept: str | None = None) -> Example:
        return Example((folder / name,), "a", concept=concept)

    check_splits({"train": [one("1.jpg", "cat"), one("2.jpg")], "test": [one("cats/1.jpg", "dog")]})
    with pytest.raises(DataError, match=r"train and test share 1 concepts, as cat"):
        check_splits({"train": [one("1.jpg", "cat")], "test": [one("2.jpg", "Cat")]})
    check_splits({"train": [one("1.jpg", "cat")], "test": [one("2.jpg", "Cat")]}, concepts=False)
    (folder / "copy.jpg").write_bytes((folder / "1.jpg").read_bytes())
    with pytest.raises(DataError, match=r"a and c share 1 pictures, as .*1\.jpg = .*copy\.jpg"):
        check_splits({"a": [one("1.jpg")], "b": [one("2.jpg")], "c": [one("copy.jpg")]})
