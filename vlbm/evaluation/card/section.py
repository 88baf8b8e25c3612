"""What a section of the card found, as plain values that a JSON file keeps. It knows figures, not models.

Shares are in percent from here on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vlbm.evaluation.confidence import Interval, wilson
from vlbm.evaluation.figures import percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A line of the card's table.

    Attributes:
        what: was measured.
        target: in words; empty where there is none.
        unit: "%", "chrF" or another.
        count: questions that it is of.
        measured: with its 95 % interval.
        baselines: the same for whatever answers without the model, or without the picture.
        met: whether the target is met; None without one.
    """

    what: str
    unit: str
    count: int
    measured: Interval
    target: str = ""
    baselines: Mapping[str, Interval]
    met: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question and its answer, as the card may show it verbatim.

    Attributes:
        shown: the picture's name.
        question: what was asked.
        expected: what would be right.
        said: the answer.
        right: whether it counts; None where it is scored rather than counted.
        confidence: of the answer, from 0 to 1; None where there is none.
    """

    shown: str
    question: str
    expected: str
    said: str
    right: bool | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """All of a section.

    Attributes:
        how: in a sentence or two, how it was made.
        figures: for the table.
        rows: every question.
    """

    how: str
    figures: Sequence[Figure]
    rows: Sequence[Row] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Section:
        """What `plain` gave."""
        figures = [
            Figure(
                **{
                    **row,
                    "measured": Interval(**row["measured"]),
                    "baselines": {name: Interval(**value) for name, value in row["baselines"].items()},
                }
            )
            for row in plain["figures"]
        ]
        return cls(how=plain["how"], figures=figures, rows=[Row(**row) for row in plain["rows"]])


def share(hits: Sequence[bool | float]) -> Interval:
    """The share of hits in percent, with Wilson's interval; half a hit is a tie."""
    return percent(wilson(float(sum(hits)), len(hits)))


def above(figure: Interval, baselines: Mapping[str, Interval], least: float, by: float = 0.0) -> bool:
    """Whether a value is at least `least`, and by so many points above the best baseline."""
    return figure.value >= least and all(figure.value - other.value >= by for other in baselines.values())
