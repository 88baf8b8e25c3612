"""Is the confidence of an answer the share of such answers that are right?

The expected calibration error of Naeini et al. 2015 (there with equal-width bins, as here): the mean over the bins of
|share right - mean confidence|, weighted by their answers. It knows rows of earlier sections, not models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vlbm.errors import EvaluationError
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.section import Figure, Row, Section
from vlbm.evaluation.confidence import Interval

OF = ("photos", "renderings", "concepts")
BINS = 10
RESAMPLES = 1000
MOST_ERROR = 10.0


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about one confidence: how many, their mean confidence and the share that is right, in percent."""

    count: int
    confidence: float
    right: float


def calibration(bench: Bench) -> Section:
    """The answers of the sections that name things, by their confidence.

    Raises:
        EvaluationError: none of these sections was measured.
    """
    before = [name for name in OF if name in bench.earlier]
    rows = [row for name in before for row in bench.earlier[name].rows if row.confidence is not None]
    if not rows:
        raise EvaluationError(f"calibration is of the answers of {', '.join(OF)}: measure them first")
    measured = _interval(rows, bench.seed)
    return Section(
        how=f"The answers of {', '.join(before)} in {BINS} bins of confidence.",
        figures=[
            Figure(
                what="calibration: expected calibration error of the confidence",
                target=f"<= {MOST_ERROR:.0f} points",
                unit="points",
                count=len(rows),
                measured=measured,
                baselines={},
                met=measured.value <= MOST_ERROR,
            )
        ],
        rows=rows,
    )


def bins(rows: Sequence[Row]) -> list[Bin]:
    """Answers by confidence; empty bins are left out."""
    sure = np.array([row.confidence for row in rows], dtype=float)
    right = np.array([bool(row.right) for row in rows], dtype=float)
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    return [
        Bin(int(inside.sum()), 100 * float(sure[inside].mean()), 100 * float(right[inside].mean()))
        for inside in (place == number for number in range(BINS))
        if inside.any()
    ]


def error(rows: Sequence[Row]) -> float:
    """The expected calibration error in points."""
    return sum(found.count * abs(found.right - found.confidence) for found in bins(rows)) / len(rows)


def _interval(rows: Sequence[Row], seed: int) -> Interval:
    """The error with its percentile bootstrap; resamples can only add error, so the low end is taken no higher."""
    random = np.random.default_rng(seed)
    found = [error([rows[place] for place in random.integers(len(rows), size=len(rows))]) for _ in range(RESAMPLES)]
    low, high = np.quantile(found, (0.025, 0.975))
    value = error(rows)
    return Interval(value, min(value, float(low)), max(value, float(high)))
