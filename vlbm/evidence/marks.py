"""The things of a picture in words: a run of its name for each, and marks.

A *mark* is one token that says something of the token before it: of a thing's colour, place and number, and of what is
beside it. "cat" after "black" would be a name; a mark of kind COLOUR with content "black" after "cat" says that the cat
is black. It knows things, token ids and places, not where things come from.

Shapes: b batch, r things, l tokens of a name, e marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence

from vlbm.data import english
from vlbm.data.colours import COLOURS
from vlbm.data.scene_questions import SIDES
from vlbm.evidence.runs import (
    ABOVE,
    ALIAS,
    BELOW,
    BIGGER,
    COLOUR,
    LEFT,
    NUMBER,
    PLACE,
    RIGHT,
    THING,
    Evidence,
    Runs,
    ranked,
)

NUMBERS = english.NUMBERS[1:7]
WORDS = (*COLOURS, *SIDES, *NUMBERS)
ARTICLES = ("a", "an", "the", "some", "two", "three")
# Words that are in questions about anything: no thing is asked for by them.
COMMON = (*WORDS, "picture", "photo", "image", "up", "down")
# A thing is bigger where its box has so many times another's area.
MUCH = 1.5
CLEAR = 0.1


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing of a picture.

    Attributes:
        name: token ids, with an article where the source has one.
        first: the same in the first language: things with one name there are one.
        confidence: that it is one, and is named right.
        boxes: where it is, the surest first.
        colour: number of its colour, and how likely that is.
        aliases: the last tokens of other names that it may have in the first language, and how likely each is.
    """

    name: tuple[int, ...]
    first: tuple[int, ...]
    confidence: float
    boxes: tuple[tuple[float, ...], ...]
    colour: tuple[int, float]
    aliases: tuple[tuple[int, float], ...] = ()

    def and_also(self, other: Thing) -> Thing:
        """The same thing in more places."""
        return replace(self, confidence=max(self.confidence, other.confidence), boxes=self.boxes + other.boxes)

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of its first box: across, down."""
        left, top, right, bottom = self.boxes[0]
        return (left + right) / 2, (top + bottom) / 2

    @property
    def area(self) -> float:
        """Of its first box."""
        left, top, right, bottom = self.boxes[0]
        return (right - left) * (bottom - top)


class Mark(NamedTuple):
    """One token that says something of the token before it."""

    token: int
    previous: int
    kind: int
    rank: int
    confidence: float


def marks_of(things: Sequence[Thing], words: Mapping[str, int], articles: Sequence[int]) -> list[Mark]:
    """What can be said of each of a picture's things, in the tokens of WORDS; a word without a token is left out.

    Args:
        things: the surest first.
        words: token id of each word, -1 where there is none.
        articles: token ids that are no name's first word.
    """
    found = list[Mark]()
    for rank, thing in enumerate(things):
        found += [Mark(token, thing.name[-1], ALIAS, rank, sure) for token, sure in thing.aliases]
        said = [(COLOURS[thing.colour[0]], COLOUR, thing.colour[1])]
        said += [(place, PLACE, 1.0) for place in _places(thing)]
        said += [(NUMBERS[min(len(thing.boxes), len(NUMBERS)) - 1], NUMBER, 1.0)]
        found += [
            Mark(words[word], thing.name[-1], kind, rank, thing.confidence * sure)
            for word, kind, sure in said
            if words[word] >= 0
        ]
        first = next((token for token in thing.name if token not in articles), thing.name[-1])
        found += [
            Mark(first, other.name[-1], kind, rank, min(thing.confidence, other.confidence))
            for other in things
            if other is not thing
            for kind in _relations(thing, other)
        ]
    return found


def _places(thing: Thing) -> list[str]:
    """Where a thing is in the picture: at a side, in a corner (two sides), or in the middle."""
    across, down = (middle - 0.5 for middle in thing.middle)
    most = max(abs(across), abs(down))
    if most < CLEAR:
        return ["middle"]
    sides = [("left", -across), ("right", across), ("top", -down), ("bottom", down)]
    return [side for side, off in sides if off >= 0.5 * most]


def _relations(one: Thing, other: Thing) -> list[int]:
    """What one thing is of another: beside it or above it, by the greater distance; and bigger."""
    across, down = (mine - theirs for mine, theirs in zip(one.middle, other.middle, strict=True))
    beside = abs(across) >= abs(down)
    where = (LEFT if across < 0 else RIGHT) if beside else (ABOVE if down < 0 else BELOW)
    return [where, BIGGER] if one.area >= MUCH * other.area else [where]


def runs_of(things: Sequence[Sequence[Thing]]) -> Runs:
    """Names as runs [b,r,l], padded."""
    most = max((len(found) for found in things), default=0)
    length = max((len(thing.name) for found in things for thing in found), default=1)
    tokens = torch.full((len(things), most, length), -1)
    confidence = torch.zeros(len(things), most)
    for row, found in enumerate(things):
        for place, thing in enumerate(found):
            tokens[row, place, : len(thing.name)] = torch.tensor(thing.name)
            confidence[row, place] = thing.confidence
    return ranked(THING, tokens, confidence)


def slots_of(marks: Sequence[Sequence[Mark]]) -> Evidence:
    """Marks as evidence slots [b,e], padded."""
    columns = [
        pad_sequence([torch.tensor([mark[place] for mark in row], dtype=kind) for row in marks], batch_first=True)
        for place, kind in enumerate((torch.long, torch.long, torch.long, torch.long, torch.float32))
    ]
    there = pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in marks], batch_first=True)
    tokens, previous, kinds, ranks, confidence = columns
    return Evidence(tokens, previous, kinds, ranks, confidence, torch.zeros_like(there), there)
