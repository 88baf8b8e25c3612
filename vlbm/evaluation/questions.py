"""What is asked in an evaluation: examples that ask the same of the same pictures are one question.

COCO and Flickr have five captions a picture: that is one question with five references. Questions of one task and
language are measured together. It knows examples, not models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlbm.data.records import Example, Task


@dataclass(frozen=True, slots=True)
class Group:
    """Questions that are measured together."""

    task: Task
    language: str
    pictured: bool

    @property
    def name(self) -> str:
        """As tables call it."""
        return f"{self.task} ({self.language})" + ("" if self.pictured else ", without pictures")


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        example: the first that asks it.
        references: the targets of all that ask it, each once.
    """

    example: Example
    references: tuple[str, ...]

    @property
    def group(self) -> Group:
        """What it is measured with."""
        return Group(self.example.task, self.example.language, bool(self.example.pictures))


def questions(examples: Iterable[Example]) -> tuple[Question, ...]:
    """The questions of examples, in the order in which each is first asked."""
    asked: dict[tuple[object, ...], list[Example]] = {}
    for example in examples:
        asked.setdefault((example.pictures, example.task, example.text, example.language), []).append(example)
    return tuple(Question(same[0], tuple(dict.fromkeys(e.target for e in same))) for same in asked.values())


def grouped(asked: Sequence[Question]) -> dict[Group, tuple[int, ...]]:
    """The numbers of each group's questions, in order."""
    found: dict[Group, list[int]] = {}
    for number, question in enumerate(asked):
        found.setdefault(question.group, []).append(number)
    return {group: tuple(numbers) for group, numbers in found.items()}


def pictures_of(examples: Iterable[Example]) -> tuple[Path, ...]:
    """All pictures, each once, in order."""
    return tuple(dict.fromkeys(path for example in examples for path in example.pictures))
