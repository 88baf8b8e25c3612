"""What an evaluation is made on: the file's examples, what is nearest in training, and where all of it came from.

It knows files, not models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlbm.data.records import Example, Read, read_jsonl
from vlbm.errors import DataError
from vlbm.evaluation.questions import pictures_of

TRAIN = "train"


@dataclass(frozen=True, slots=True)
class Source:
    """A file and what of it is used.

    Attributes:
        file: as it was named.
        sha256: of its bytes.
        split: of which the examples are; None is all.
        examples: in the file's order.
        problems: lines that were left out, and why.
    """

    file: str
    sha256: str
    split: str | None
    examples: tuple[Example, ...]
    problems: tuple[str, ...]


def read_source(
    path: Path, *, pictures: Path | None = None, split: str | None = None, limit: int | None = None
) -> Source:
    """Read what is to be evaluated on.

    Args:
        path: a file of the native format.
        pictures: the folder that pictures' names start from; the file's own by default.
        split: take the examples of this split only.
        limit: take so many of them, from the first.

    Raises:
        DataError: the file is not there, has no usable example, or none of the split.
    """
    return _source(path, read_jsonl(path, pictures), split, limit)


def _source(path: Path, read: Read, split: str | None, limit: int | None) -> Source:
    examples = read.examples if split is None else read.of(split)
    if not examples:
        there = sorted({example.split for example in read.examples if example.split})
        raise DataError(f"{path} has no example of split {split!r}: it has {', '.join(there) or 'no splits'}")
    problems = tuple(str(problem) for problem in read.problems)
    return Source(str(path), _sha256(path), split, examples[:limit], problems)


def read_training(path: Path, *, pictures: Path | None = None) -> Source:
    """Read what a model was trained on: the examples of split "train", or all where none is marked so.

    Raises:
        DataError: the file is not there, or has no usable example with a picture.
    """
    read = read_jsonl(path, pictures)
    source = _source(path, read, TRAIN if read.of(TRAIN) else None, None)
    if not any(example.pictures for example in source.examples):
        raise DataError(f"{path} has no training example with a picture: leave out --train")
    return source


def digests(examples: Sequence[Example]) -> dict[Path, str]:
    """SHA-256 of each picture's bytes."""
    return {path: _sha256(path) for path in pictures_of(examples)}


def digest_of_all(found: Mapping[Path, str]) -> str:
    """One SHA-256 for a set of pictures, whatever their names and order."""
    return hashlib.sha256("".join(sorted(set(found.values()))).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
