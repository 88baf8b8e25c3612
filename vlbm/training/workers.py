"""Things made in order, by other processes where there are some: torch's `DataLoader`, for anything with a number.

It knows neither what is made nor what for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

T = TypeVar("T")
J = TypeVar("J")


class _Made(Dataset[Any]):
    """Item n is what is made of n."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        self.make = make

    def __getitem__(self, number: int) -> Any:
        return self.make(number)


def made(
    make: Callable[[int], T], numbers: Sequence[int], workers: int, *, size: int, join: Callable[[list[T]], J]
) -> Iterator[J]:
    """What is made of each number, in their order, some at a time.

    Args:
        make: from a number alone, so that it does not matter who makes it.
        numbers: of what.
        workers: processes that make; 0: it is made here, when it is asked for. They are forks, which see what this
            process had in memory at the first item, without a copy.
        size: how many at a time.
        join: makes one of so many, where they were made.
    """
    loader: DataLoader[Any] = DataLoader(
        _Made(make),
        batch_size=size,
        sampler=list(numbers),
        num_workers=workers,
        collate_fn=join,
        multiprocessing_context="fork" if workers else None,
        generator=torch.Generator(),  # else it draws a number of torch's that others count on
    )
    yield from loader


def spare_cores() -> int:
    """Processor cores beside this process's own."""
    return len(os.sched_getaffinity(0)) - 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) - 1
