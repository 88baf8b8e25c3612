"""Which examples each step is made of, and the batches of them, which other processes may make.

What a step draws depends on (seed, step, process) alone. It knows examples, not models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vlbm.training.encoded import Encoded, collate
from vlbm.training.plan import Plan
from vlbm.training.workers import made


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples that go through the model together.

    Attributes:
        numbers: of the examples.
        texts: the examples without their pictures.
        inputs: keyword arguments of the model.
        beginning: number of what stands before all prompts.
    """

    numbers: tuple[int, ...]
    texts: tuple[Encoded, ...]
    inputs: dict[str, Any]
    beginning: int


@dataclass(frozen=True, slots=True)
class Draws:
    """What a process draws in each step of a plan; there are so many beginnings."""

    plan: Plan
    rank: int
    beginnings: int

    def torch_seed(self, step: int) -> int:
        """Of torch's own randomness in a step."""
        return int(self._rng(step).integers(2**63))

    def parts(self, step: int, examples: int) -> list[tuple[tuple[int, ...], int]]:
        """Of each part of a step the numbers of its examples, of so many, and that of its beginning."""
        rng, size = self._rng(step), self.plan.batch // self.plan.accumulate
        rng.integers(2**63)  # torch's
        drawn = [int(number) for number in rng.integers(examples, size=self.plan.batch)]
        return [
            (tuple(drawn[start : start + size]), int(rng.integers(self.beginnings)))
            for start in range(0, len(drawn), size)
        ]

    def _rng(self, step: int) -> np.random.Generator:
        return np.random.default_rng([self.plan.seed, step, self.rank])


def batches(train: Sequence[Encoded], draws: Draws, *, first: int, workers: int) -> Iterator[Batch]:
    """The batches of all steps from `first` on: `accumulate` of the plan a step."""
    plan = draws.plan

    def batch(number: int) -> Batch:
        step, part = divmod(number, plan.accumulate)
        numbers, beginning = draws.parts(step, len(train))[part]
        rows = [train[place] for place in numbers]
        return Batch(numbers, tuple(replace(row, visuals=()) for row in rows), collate(rows), beginning)

    numbers = range(first * plan.accumulate, plan.steps * plan.accumulate)
    return made(batch, numbers, workers, size=1, join=lambda found: found[0])
