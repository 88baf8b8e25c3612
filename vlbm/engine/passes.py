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

    def to(self, device: torch.device) -> Pass:
        """The same with its numbers on a device; memories are where their model is."""
        return Pass(
            self.tokens.to(device),
            self.positions.to(device),
            self.places.to(device),
            self.tables.to(device),
            self.wanted.to(device),
            self.pictured,
        )


class Read(NamedTuple):
    """What came of it.

    Attributes:
        logits: of the next tokens [s,v].
        weights: the pictures' share at the wanted rows, averaged over the fused layers [s]; 0 where there are none.
    """

    logits: torch.Tensor
    weights: torch.Tensor


def kept(shape: Sequence[int], dtype: torch.dtype, device: torch.device | str = "cpu") -> torch.Tensor:
    """Zeros for keys or values; in main memory they take room only once they are written to."""
    if torch.device(device).type != "cpu":
        return torch.zeros(tuple(shape), dtype=dtype, device=device)
    lazy = numpy.zeros(math.prod(shape) * dtype.itemsize, dtype=numpy.uint8)
    return torch.from_numpy(lazy).view(dtype).view(tuple(shape))


class Network(Protocol):
    """A language model with a cache of `pages` pages; `own_threads` as in `Reader`."""

    pages: int
    own_threads: bool

    def read(self, what: Pass) -> Read:
        """One pass; keys and values of what is read are in the cache after it."""
