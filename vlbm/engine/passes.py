"""One pass over whatever all turns have to read: prompts in pieces, and next tokens. Plain values and their shapes.

Shapes: t tokens of all turns, s tokens whose successor is wanted, m pages of the longest turn, v vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy
import torch

from vlbm.fusion import Prepared

PAGE = 16  # places of a page of the cache: the floats of one register
# Tokens of prompts in a pass on a CPU: few beside answers, so that none of these waits long for its next token; more
# alone, for speed, but only so many that whoever comes meanwhile is soon let in.
BESIDE, ALONE = 24, 256


@dataclass(frozen=True, slots=True)
class Pictured:
    """Rows of a pass that see pictures: as many tokens in each of b turns.

    Attributes:
        rows: their numbers [b,t].
        memories: what each fused layer attends to.
    """

    rows: torch.Tensor
    memories: Sequence[Prepared]


@dataclass(frozen=True, slots=True)
class Pass:
    """What is read.

    Attributes:
        tokens: ids [t].
        positions: of each token in its turn [t].
        places: of each token in the cache, page * 16 + place [t].
        tables: pages of each token's turn [t,m] int32.
        wanted: rows whose next token is wanted [s].
        pictured: rows that see pictures.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    places: torch.Tensor
    tables: torch.Tensor
    wanted: torch.Tensor
    pictured: Sequence[Pictured] = ()


class Read(NamedTuple):
    """What came of it.

    Attributes:
        logits: of the next tokens [s,v], where they were computed.
        likeliest: the next token of each that has the highest logit, the first of equals; -1: they are no numbers.
        weights: the pictures' share at the wanted rows, averaged over the fused layers; 0 where there are none.
    """

    logits: torch.Tensor
    likeliest: Sequence[int]
    weights: Sequence[float]


def likeliest(logits: torch.Tensor) -> torch.Tensor:
    """The likeliest tokens [s] (see `Read`) by logits [s,v].

    In main memory torch's own way takes 120 microseconds a row, numpy's 5.
    """
    numbers = logits.sum(dim=1).isfinite()  # no sum of numbers is none, at their size
    on_cpu = logits.device.type == "cpu"
    best = torch.from_numpy(logits.numpy().argmax(axis=1)) if on_cpu else logits.argmax(dim=1)
    return torch.where(numbers, best, -1)


def kept(shape: Sequence[int], dtype: torch.dtype, device: torch.device | str = "cpu") -> torch.Tensor:
    """Zeros for keys or values; in main memory they take room only once they are written to."""
    if torch.device(device).type != "cpu":
        return torch.zeros(tuple(shape), dtype=dtype, device=device)
    lazy = numpy.zeros(math.prod(shape) * dtype.itemsize, dtype=numpy.uint8)
    return torch.from_numpy(lazy).view(dtype).view(tuple(shape))


class Network(Protocol):
    """A language model with a cache of `pages` pages; `beside`, `alone` and `own_threads` as in `Reader`."""

    pages: int
    beside: int
    alone: int
    own_threads: bool

    def read(self, what: Pass) -> Read:
        """One pass; keys and values of what is read are in the cache after it."""
