"""What reads texts: the interface between turns, which say, and networks, which compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch

from vlbm.fusion import Prepared


@dataclass(frozen=True, slots=True)
class Memories:
    """What a text sees of pictures.

    Attributes:
        layers: what each fused layer attends to.
        start: the first position that sees it.
        key: tells it apart from any other: pictures, model, language, what is remembered and what is asked.
    """

    layers: Sequence[Prepared]
    start: int
    key: str


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """What is read on in one text: tokens, and after how many of the last of them it is wanted what comes next."""

    text: T
    tokens: Sequence[int]
    wanted: int


class Seen(NamedTuple):
    """What comes next at each of the wanted places: logits [wanted,v], the likeliest token (-1: the logits are no
    numbers), and the pictures' share in it.
    """

    logits: torch.Tensor
    likeliest: Sequence[int]
    weights: Sequence[float]


class Reader(Protocol[T]):
    """Reads several texts together.

    Attributes:
        guesses: tokens that were guessed may be read and taken back, and that pays.
        capacity: tokens of the longest text that can be read.
        beside, alone: tokens of prompts that are best read in one pass, with answers that wait for its end and without.
        own_threads: it computes in threads of its own, beside which torch's would be in its way.
    """

    guesses: bool
    capacity: int
    beside: int
    alone: int
    own_threads: bool

    def room(self, tokens: int) -> bool:
        """Whether it can be read now."""

    def begin(self, ids: Sequence[int], most: int, memories: Memories | None) -> T:
        """Make room for a text of up to `most` tokens that begins with `ids`; its `tokens` are those known already."""

    def read(self, parts: Sequence[Part[T]]) -> list[Seen]:
        """Read on."""

    def forget(self, text: T, tokens: int) -> None:
        """Take back so many tokens at the end of a text."""

    def end(self, text: T, *, keep: bool = True) -> None:
        """Give its room back.

        Args:
            text: that is over.
            keep: others may begin with what was read of it; not where that went wrong.
        """
