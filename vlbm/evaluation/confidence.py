"""How sure a number is: 95 % intervals of a mean, of a share, and over several seeds.

It knows numbers, not what they measure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution
RESAMPLES = 10_000
_AT_ONCE = 1_000_000  # numbers drawn in one go, which bounds memory to some MB
# The 97.5 % quantiles of Student's t with 1 to 10 degrees of freedom.
_STUDENT = (
    12.706204736432095,
    4.302652729911275,
    3.182446305284263,
    2.7764451051977987,
    2.5705818366147395,
    2.4469118487916806,
    2.3646242510102993,
    2.3060041350333704,
    2.2621571627409915,
    2.2281388519649385,
)


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % confidence interval, all in the unit of what was measured."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def bootstrap_mean(values: Sequence[float], seed: int, resamples: int = RESAMPLES) -> Interval:
    """The mean of values, one for each picture, with the percentile bootstrap of Efron 1979.

    Args:
        values: at least one; the interval of one value or of equal ones has no width.
        seed: of the resampling; the same seed gives the same interval.
        resamples: how many samples of the same size are drawn, with replacement.

    Raises:
        ValueError: there are no values, one is not finite, or there are no resamples.
    """
    data = _finite(values)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    random = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // data.size)
    means = [
        data[random.integers(data.size, size=(min(step, resamples - done), data.size))].mean(axis=1)
        for done in range(0, resamples, step)
    ]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return Interval(float(data.mean()), float(low), float(high))


def wilson(hits: float, count: int) -> Interval:
    """The share of hits with the score interval of Wilson 1927, which holds for few pictures and shares near 0 or 1.

    Half a hit is a tie.

    Raises:
        ValueError: count is below 1, or hits is not from 0 to count.
    """
    if count < 1:
        raise ValueError(f"a share needs at least 1 picture, not {count}")
    if not 0 <= hits <= count:
        raise ValueError(f"{hits} hits of {count} are no share")
    share = hits / count
    shrink = 1 + Z**2 / count
    centre = (share + Z**2 / (2 * count)) / shrink
    half = Z / shrink * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    # Rounding must not push an end past the share itself where that is 0 or 1.
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean of one value a seed, with Student's t interval (Student 1908).

    Raises:
        ValueError: there are fewer than 2 values, from which no spread can be told, or one is not finite.
    """
    data = _finite(values)
    if data.size < 2:
        raise ValueError(f"an interval over seeds needs at least 2 of them, not {data.size}")
    mean = float(data.mean())
    half = student(data.size - 1) * float(data.std(ddof=1)) / math.sqrt(data.size)
    return Interval(mean, mean - half, mean + half)


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t; above 10 degrees of freedom by the expansion 26.7.5 of Abramowitz and Stegun.

    Raises:
        ValueError: freedom is below 1.
    """
    if freedom < 1:
        raise ValueError(f"Student's t needs at least 1 degree of freedom, not {freedom}")
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / freedom + second / freedom**2 + third / freedom**3


def _finite(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    data = np.asarray(values, dtype=np.float64).reshape(-1)
    if not data.size:
        raise ValueError("a mean needs at least 1 value, not 0")
    if not np.isfinite(data).all():
        raise ValueError(f"{int((~np.isfinite(data)).sum())} of {data.size} values are not finite")
    return data
