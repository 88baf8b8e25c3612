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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"target": "\xff"}', "not UTF-8: byte 0xff at 12"),
        ('{"target": "a"}'.encode("utf-16"), "not UTF-8: byte 0xff at 0"),
        (b'{"target": "a\x00b"}', "not JSON: Invalid control character"),
        (b"\x00\x00\x00", "not JSON"),
        (b'{"target": "a\\u0000b"}', "'target' has a NUL character"),
        (b'{"target": "a", "text": "\\ud800"}', "'text' has half of a surrogate pair"),
        (b'{"target": "a", "image": "1\\u0000.jpg"}', "has a NUL character in its name"),
        (b'{"target": "a", "image": "cats"}', "picture 'cats' is a folder"),
        (b'{"target": "a", "image": "."}', "picture '.' is a folder"),
        (b'{"target": "a", "image": "1.jpg/2.jpg"}', "is not there"),
        (b'{"target": "a", "image": "' + b"x" * 300 + b'"}', "cannot be read: File name too long"),
        (b'{"target": "a", "image": "out.jpg"}', "picture 'out.jpg' is a link that leads outside"),
        (b'{"target": "a", "image": "outside/1.jpg"}', "is a link that leads outside"),
        (b"[" * 100_000, "not JSON: nested too deeply"),
    ],
)
def test_hostile_bytes_are_one_line(folder: Path, line: bytes, message: str) -> None:
    outside = folder.parent / f"{folder.name}-outside"
    outside.mkdir()
    (outside / "1.jpg").write_bytes(drawn())
    (folder / "out.jpg").symlink_to(outside / "1.jpg")
    (folder / "outside").symlink_to(outside)
    (folder / "data.jsonl").write_bytes(b'{"target": "before"}\r\n' + line + b'\r\n{"target": "after"}\r\n')
    read = read_jsonl(folder / "data.jsonl")
    assert [example.target for example in read.examples] == ["before", "after"]
    assert [problem.line for problem in read.problems] == [2]
    assert message in read.problems[0].message


def test_a_mark_at_the_start_and_windows_line_ends_are_fine(folder: Path) -> None:
    (folder / "data.jsonl").write_bytes(b'\xef\xbb\xbf{"image": "1.jpg", "target": "a"}\r\n\r\n{"target": "b"}\r\n')
    read = read_jsonl(folder / "data.jsonl")
    assert not read.problems
    assert [example.target for example in read.examples] == ["a", "b"]


def test_links_inside_and_a_linked_folder_are_fine(folder: Path) -> None:
    (folder / "link.jpg").symlink_to("1.jpg")
    (folder / "data.jsonl").write_bytes(b'{"image": "link.jpg", "target": "a"}\n')
    linked = folder.parent / f"{folder.name}-linked"
    linked.symlink_to(folder)
    assert read_jsonl(linked / "data.jsonl").examples[0].pictures == (linked / "link.jpg",)


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
