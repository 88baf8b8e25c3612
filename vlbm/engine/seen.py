"""What was seen of a picture, and by what it is found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vlbm.perception import Visual


@dataclass(frozen=True, slots=True)
class Features:
    """One picture as the model saw it, with its size in pixels."""

    visual: Visual
    width: int
    height: int


class Key(NamedTuple):
    """Which picture, by the hash of its bytes, seen by which model, spoken of in which language, with which memory.

    Model and language are empty where what is kept is the same for all, and the memory is where none was brought along.
    """

    model: str
    sha256: str
    language: str
    memory: str = ""
