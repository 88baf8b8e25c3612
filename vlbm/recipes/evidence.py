"""The evidence of a training picture, made harder, and what an honest reader would believe of it.

Evidence is dropped, corrupted and left out of the memory, so that the fusion learns when to trust which. It knows
names, captions and confidences, not language models.

Shapes: r runs of one picture, l tokens of a run, N remembered pictures, c classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vlbm.data.english import head
from vlbm.evidence.table import CAPTION, FINE, GROUP, EvidenceTable, Runs
from vlbm.recipes.phrases import GUESS, Belief

# Chances that a kind of evidence is not there at all.
DROPPED = ((GROUP, 0.12), (FINE, 0.3), (CAPTION, 0.12))
CORRUPTED = 0.05
# What does not bear out the truth is put forward as a guess from here on.
WORTH_SAYING = 0.25


@dataclass(frozen=True, slots=True)
class Account:
    """One picture's evidence in the answer's language, and the same in English: [r,...], in the same order."""

    runs: Runs
    english: tuple[str, ...]
    spoken: tuple[str, ...]


class Reader:
    """Looks evidence up.

    Args:
        table: filled.
        tokenizer: of its tokens.
        thing, concept, owner: what each remembered picture shows in English, its kind, and its number among the
            pictures [N].
    """

    def __init__(
        self, table: EvidenceTable, tokenizer: Any, thing: Sequence[str], concept: Sequence[str], owner: Sequence[int]
    ) -> None:
        self.table, self.tokenizer = table, tokenizer
        self.thing, self.concept, self.owner = np.array(thing), np.array(concept), np.array(owner)

    def without(self, picture: int, thing: str, concept: str, rng: np.random.Generator) -> torch.Tensor:
        """Which remembered pictures are left out [1,N]: mostly the picture itself, at times all that are like it."""
        left_out = (self.owner == picture) if rng.random() < 0.85 else np.zeros(len(self.owner), dtype=bool)
        chance = rng.random()
        if chance < 0.1:
            left_out = left_out | (self.concept == concept)
        elif chance < 0.3:
            left_out = left_out | (self.thing == thing)
        return torch.from_numpy(left_out)[None]

    def read(
        self, logits: torch.Tensor, style: torch.Tensor, language: int, exclude: torch.Tensor | None = None
    ) -> Account:
        """What is found of a picture, by its class logits [c] and style [s]."""
        both = torch.tensor([0, language])
        twice = None if exclude is None else exclude.expand(2, -1)
        found = self.table.find(logits.expand(2, -1), style.expand(2, -1), languages=both, exclude=twice)
        english, spoken = (
            Runs(found.tokens[n].clone(), found.kind[n], found.rank[n], found.confidence[n].clone()) for n in (0, 1)
        )
        return Account(spoken, self.texts(english), self.texts(spoken))

    def texts(self, runs: Runs) -> tuple[str, ...]:
        """Each run as text."""
        rows = [[int(token) for token in row if token >= 0] for row in runs.tokens]
        return tuple(str(self.tokenizer.decode(row)).strip() for row in rows)


def harder(account: Account, rng: np.random.Generator, *, keep: int | None = None) -> Account:
    """Kinds of evidence dropped, and at times captions that are another picture's doubt made certain."""
    runs, tokens, confidence = account.runs, account.runs.tokens.clone(), account.runs.confidence.clone()
    for kind, chance in DROPPED:
        if kind != keep and rng.random() < chance:
            tokens[runs.kind == kind] = -1
    captions = (runs.kind == CAPTION).nonzero()[:, 0]
    if keep != CAPTION and len(captions) > 1 and rng.random() < CORRUPTED:
        confidence[captions] = confidence[captions].roll(1)
    there = (tokens >= 0).any(dim=1)
    if not bool(there.any()):
        return account
    confidence = torch.where(there, confidence, 0.0)
    english, spoken = (
        tuple(text if kept else "" for text, kept in zip(texts, there.tolist(), strict=True))
        for texts in (account.english, account.spoken)
    )
    return Account(Runs(tokens, runs.kind, runs.rank, confidence), english, spoken)


def believed(account: Account, thing: str, concept: str) -> Belief:
    """What may be said of a picture of a thing: as far as the evidence bears it out, in the answer's words.

    Evidence that bears out nothing is a guess where it is confident, else nothing is known.
    """
    sure = account.runs.confidence.tolist()
    order = sorted((n for n, text in enumerate(account.spoken) if text), key=lambda n: -sure[n])
    right = [n for n in order if _bears_out(account.english[n], thing, concept)]
    if not right:
        if not order or sure[order[0]] < WORTH_SAYING:
            return Belief(None, 0.0)
        first, second = account.spoken[order[0]], _second(account, order)
        return Belief(first, GUESS, other=second)
    exact = [n for n in right if account.english[n] == thing and sure[n] > 0.4 * sure[right[0]]]
    best = (exact or right)[0]
    fine = [n for n in right if account.runs.kind[n] == FINE and sure[n] > 0.4]
    named = account.english[fine[0]] if fine and account.english[fine[0]] != account.english[best] else None
    other = next((account.spoken[n] for n in order if n not in right), None)
    return Belief(account.spoken[best], sure[right[0]], fine=named, other=other)


def _second(account: Account, order: Sequence[int]) -> str | None:
    return next((account.spoken[n] for n in order[1:] if account.spoken[n] != account.spoken[order[0]]), None)


def _bears_out(text: str, thing: str, concept: str) -> bool:
    return bool(text) and (text == thing or concept in (head(text), text.rsplit(maxsplit=1)[-1]))
