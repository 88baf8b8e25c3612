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
from vlbm.evidence.runs import CAPTION, FINE, GROUP, KIND, THING, Evidence, Runs, joined, lay_out
from vlbm.evidence.table import EvidenceTable
from vlbm.evidence.things import Sighted
from vlbm.recipes.phrases import GUESS, Belief

# Chances that a kind of evidence is not there at all.
DROPPED = ((GROUP, 0.12), (FINE, 0.3), (CAPTION, 0.12), (KIND, 0.2), (THING, 0.15))
CORRUPTED = 0.05
# What does not bear out the truth is put forward as a guess from here on, and what kind of thing it is from there on.
WORTH_SAYING, KIND_IS_SURE = 0.12, 0.5


@dataclass(frozen=True, slots=True)
class Account:
    """One picture's evidence.

    Attributes:
        runs: names and captions in the answer's language [r,...].
        english, spoken: each run as text, in English and in the answer's language.
        marks: what is said of things.
    """

    runs: Runs
    english: tuple[str, ...]
    spoken: tuple[str, ...]
    marks: Evidence

    def laid_out(self) -> Evidence:
        """As the fusion gets it, for a batch of one."""
        return lay_out(self.runs.map(lambda value: value[None])).beside(self.marks)


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
        self,
        logits: torch.Tensor,
        style: torch.Tensor,
        language: int,
        *,
        sighted: Sighted | None = None,
        exclude: torch.Tensor | None = None,
    ) -> Account:
        """What is found of a picture.

        Args:
            logits, style: of the whole picture [c], [s].
            language: of the answer.
            sighted: its regions; None for a made-up verdict on no picture, whose probabilities are believed.
            exclude: what the memory may not find [1,N].
        """
        both, twice = torch.tensor([0, language]), None if exclude is None else exclude.expand(2, -1)
        names = self.table.find(
            logits.expand(2, -1),
            style.expand(2, -1),
            languages=both,
            exclude=twice,
            trusting=sighted is None,
        )
        assert self.table.things is not None  # noqa: S101
        things = [] if sighted is None else self.table.things.things(sighted, self.table, language, exclude=exclude)
        found, marks = self.table.things.laid([things], both[1:])
        runs = joined(names.map(lambda value: value[1:]), found).map(lambda value: value[0].clone())
        english = (*self.texts(names.tokens[0].tolist()), *self.texts([thing.first for thing in things]))
        return Account(runs, english, self.texts(runs.tokens.tolist()), marks)

    def texts(self, runs: Sequence[Sequence[int]]) -> tuple[str, ...]:
        """Each run as text."""
        rows = [[token for token in row if token >= 0] for row in runs]
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
    things = bool((there & (runs.kind == THING)).any())
    english, spoken = (
        tuple(text if kept else "" for text, kept in zip(texts, there.tolist(), strict=True))
        for texts in (account.english, account.spoken)
    )
    marks = account.marks if things else account.marks.map(lambda value: value[:, :0])
    return Account(Runs(tokens, runs.kind, runs.rank, confidence), english, spoken, marks)


def believed(account: Account, thing: str, concept: str, kind: str | None = None) -> Belief:
    """What may be said of a picture of a thing: as far as the evidence bears it out, in the answer's words.

    Where evidence bears out no name, or hardly, it is the kind of thing, if that is borne out; else what is confident
    is a guess, and else nothing is known.

    Args:
        account: the evidence.
        thing, concept: what the picture shows.
        kind: what kind of thing that is, in English, where known.
    """
    sure, kinds = account.runs.confidence.tolist(), account.runs.kind.tolist()
    order = sorted((n for n, text in enumerate(account.spoken) if text and kinds[n] != KIND), key=lambda n: -sure[n])
    right = [n for n in order if _bears_out(account.english[n], thing, concept)]
    told = [n for n, text in enumerate(account.english) if text and kinds[n] == KIND and text == kind]
    if told and sure[told[0]] >= KIND_IS_SURE and (not right or sure[right[0]] < GUESS):
        return Belief(None, sure[told[0]], kind=account.spoken[told[0]])
    if not right:
        if not order or sure[order[0]] < WORTH_SAYING:
            return Belief(None, 0.0)
        return Belief(account.spoken[order[0]], GUESS, other=_another(account, order[0], order))
    exact = [n for n in right if account.english[n] == thing and sure[n] > 0.4 * sure[right[0]]]
    best = (exact or right)[0]
    fine = [n for n in right if kinds[n] == FINE and sure[n] > 0.4]
    named = account.english[fine[0]] if fine and account.english[fine[0]] != account.english[best] else None
    other = _another(account, best, [n for n in order if n not in right])
    return Belief(account.spoken[best], sure[right[0]], fine=named, other=other)


def bears_out(account: Account, names: Sequence[str]) -> bool:
    """Whether each of the names is that of a thing which was seen."""
    things = [text for text, kind in zip(account.english, account.runs.kind.tolist(), strict=True) if kind == THING]
    return all(any(_bears_out(text, "", name) for text in things) for name in names)


def known(account: Account, thing: str) -> bool:
    """Whether the evidence names a thing just so, and nothing more surely."""
    sure = account.runs.confidence.tolist()
    order = sorted((n for n, text in enumerate(account.spoken) if text), key=lambda n: -sure[n])
    return bool(order) and account.english[order[0]] == thing


def _another(account: Account, first: int, order: Sequence[int]) -> str | None:
    """The likeliest of what else it could be: another thing, not a finer or a plainer name of the same."""
    same = head(account.english[first])
    return next((account.spoken[n] for n in order if head(account.english[n]) != same), None)


def _bears_out(text: str, thing: str, concept: str) -> bool:
    return bool(text) and (text == thing or concept in (head(text), text.rsplit(maxsplit=1)[-1]))
