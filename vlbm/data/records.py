"""The native data format: JSON Lines beside a folder of pictures; one object a line is one example.

    {"image": "cats/1.jpg", "target": "A cat."}
    {"images": ["1.jpg", "2.jpg"], "task": "summarise", "text": "...", "target": "...", "language": "de",
     "concept": "cat", "split": "train"}

A line that cannot be used is reported with its number, and the rest is kept. This module knows files, not models;
pictures are opened later, by whoever needs them. docs/data.md describes the format for its users.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from vlbm.errors import DataError

Task = Literal["caption", "translate", "summarise", "chat"]
TASKS: tuple[str, ...] = get_args(Task)
_TEXTS = ("text", "language", "concept", "split", "wrong")
_KEYS = ("image", "images", "target", "task", *_TEXTS)


@dataclass(frozen=True, slots=True)
class Example:
    """One thing to learn or to be measured on.

    Attributes:
        pictures: files; none for an example of text alone.
        target: what should be said.
        task: what is asked.
        text: what is to be translated, summarised or answered; empty for a caption.
        language: of the target, as a BCP 47 tag.
        concept: what the pictures show, where splits shall keep it together.
        split: the part it belongs to, where the file says so.
        wrong: what should not be said: with it, the example is a contrast (see `vlbm.evaluation.contrast`).
    """

    pictures: tuple[Path, ...]
    target: str
    task: Task = "caption"
    text: str = ""
    language: str = "en"
    concept: str | None = None
    split: str | None = None
    wrong: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that was left out, counted from 1, and why."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Read:
    """What a file gave: its usable examples in order, and what was left out."""

    examples: tuple[Example, ...]
    problems: tuple[Problem, ...] = ()

    def of(self, split: str) -> tuple[Example, ...]:
        """The examples of a split."""
        return tuple(example for example in self.examples if example.split == split)


def read_jsonl(path: Path, pictures: Path | None = None) -> Read:
    """Read a file of the native format.

    Args:
        path: the JSON Lines file.
        pictures: the folder that the pictures' names start from; the file's own by default.

    Raises:
        DataError: the file is not there, or has not one usable line.
    """
    folder, known = pictures or path.parent, dict[str, Path]()
    examples, problems = list[Example](), list[Problem]()
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            examples.append(parse(line, folder, known))
        except ValueError as error:
            problems.append(Problem(number, str(error)))
    return kept(path, examples, problems)


def kept(path: Path, examples: list[Example], problems: list[Problem]) -> Read:
    """What was read of a file.

    Raises:
        DataError: nothing was usable; the message has the first reason.
    """
    if not examples:
        why = f"; {problems[0]}" if problems else ""
        raise DataError(f"{path} has no usable example{why}")
    return Read(tuple(examples), tuple(problems))


def parse(line: bytes, folder: Path, known: dict[str, Path] | None = None) -> Example:
    """One line of the format.

    Args:
        line: JSON.
        folder: that the pictures' names start from.
        known: pictures whose places were looked at, by name, and where this line's are added.

    Raises:
        ValueError: it is not one; the message says why.
    """
    row = _json(line)
    if not isinstance(row, dict):
        raise ValueError(f"a JSON object is wanted, this is {type(row).__name__}")
    if unknown := sorted(row.keys() - set(_KEYS)):
        raise ValueError(f"unknown key {unknown[0]!r}: use {', '.join(_KEYS)}")
    target = row.get("target")
    if not isinstance(target, str) or not target.strip():
        raise ValueError("'target' must be a text that is not empty")
    if (task := row.get("task", "caption")) not in TASKS:
        raise ValueError(f"unknown task {task!r}: use one of {', '.join(TASKS)}")
    texts = {key: row[key] for key in _TEXTS if row.get(key) is not None}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise ValueError(f"{key!r} must be a text, this is {type(value).__name__}")
    for key, value in {"target": target, **texts}.items():
        if fault := _fault(value):
            raise ValueError(f"{key!r} has {fault}")
    known = {} if known is None else known
    pictures = tuple(_known(folder, name, known) for name in _names(row))
    return Example(pictures=pictures, target=target, task=task, **texts)


def _known(folder: Path, name: Any, known: dict[str, Path]) -> Path:
    """As `inside`, once a name: a picture comes up once a language, and links take long to follow."""
    if not isinstance(name, str) or name not in known:
        known[name] = inside(folder, name)
    return known[name]


def _json(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte 0x{line[error.start]:02x} at {error.start}") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("not JSON: nested too deeply") from None


def _fault(text: str) -> str | None:
    """What JSON can escape but no tokenizer or file can take."""
    if "\0" in text:
        return "a NUL character"
    return "half of a surrogate pair" if any("\ud800" <= letter <= "\udfff" for letter in text) else None


def _names(row: dict[str, Any]) -> list[Any]:
    if "image" in row and "images" in row:
        raise ValueError("give 'image' or 'images', not both")
    names = row.get("images", [row["image"]] if "image" in row else [])
    if not isinstance(names, list):
        raise ValueError("'images' must be a list of names")
    return names


def inside(folder: Path, name: Any) -> Path:
    """A picture's file.

    Raises:
        ValueError: the name leads outside the folder (by itself or by a link), or there is no such file.
    """
    if not isinstance(name, str) or not name:
        raise ValueError("a picture's name must be a text that is not empty")
    if fault := _fault(name):
        raise ValueError(f"picture {name!r} has {fault} in its name")
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        raise ValueError(f"picture {name!r} must lie inside the folder of pictures")
    path = folder / place
    try:
        there, kind = path.is_file(), path.is_dir()
    except OSError as error:
        raise ValueError(f"picture {name[:80]!r} cannot be read: {error.strerror}") from None
    if not there:
        raise ValueError(f"picture {name!r} is {'a folder' if kind else 'not there'}")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"picture {name!r} is a link that leads outside the folder of pictures")
    return path


def write_jsonl(path: Path, examples: Iterable[Example], pictures: Path | None = None) -> int:
    """Write examples in the native format; returns how many.

    Raises:
        ValueError: a picture lies outside the folder of pictures.
    """
    folder = pictures or path.parent
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for example in examples:
            row: dict[str, Any] = {"images": [p.relative_to(folder).as_posix() for p in example.pictures]}
            row |= {"target": example.target, "task": example.task}
            row |= {key: value for key in _TEXTS if (value := getattr(example, key))}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count
