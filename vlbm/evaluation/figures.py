"""Measured values, and what several trainings' values come to. It knows numbers and their names, not models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlbm.evaluation.confidence import Interval, over_seeds

BOOTSTRAP, CORPUS, WILSON, SEEDS = "bootstrap", "corpus bootstrap", "wilson", "student over seeds"
METHODS = {
    BOOTSTRAP: "percentile bootstrap of the mean over questions (Efron 1979), 10,000 resamples",
    CORPUS: "percentile bootstrap of the corpus over questions (Koehn 2004), 1,000 resamples",
    WILSON: "score interval of a share (Wilson 1927)",
    SEEDS: "mean of the models with Student's t interval over them (Student 1908)",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of one model.

    Attributes:
        table: what was asked, as "caption (en)".
        way: which picture was shown, as "right"; or a baseline.
        measure: what was measured, as "chrF".
        interval: the value with its 95 % interval.
        method: of the interval, a key of `METHODS`.
        signature: of a score.
    """

    table: str
    way: str
    measure: str
    interval: Interval
    method: str
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One value of all models.

    Attributes:
        figure: value and interval over the models, where there are several.
        values: each model's.
    """

    figure: Figure
    values: tuple[float, ...]


def estimates(runs: Sequence[Sequence[Figure]]) -> list[Estimate]:
    """The values of one or several trainings, in the order of the first.

    Several make a mean with Student's interval. Where all have the same value (a baseline, or 100 % each) their spread
    would say that it is certain; the first one's own interval stays.
    """
    found = []
    for same in zip(*runs, strict=True):
        first, values = same[0], tuple(figure.interval.value for figure in same)
        if len(set(values)) > 1:
            interval, method = over_seeds(values), SEEDS
        else:
            interval, method = first.interval, first.method
        found.append(Estimate(Figure(first.table, first.way, first.measure, interval, method, first.signature), values))
    return found


def percent(share: Interval) -> Interval:
    """A share from 0 to 1 as percents."""
    return Interval(100 * share.value, 100 * share.low, 100 * share.high)
