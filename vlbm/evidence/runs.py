"""Evidence: short runs of language-model tokens, each with a kind, a rank and a confidence, and how they are laid out.

It knows token ids and numbers, not where evidence comes from nor what is made of it.

Shapes: b batch, r runs, l tokens of a run, e evidence tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch.nn.functional import pad

# Names of a whole picture, what is remembered of it, and what kind of thing it shows; names of the things in it; and
# marks, which say something of the token before them: what it is like, and what is beside it.
GROUP, FINE, CAPTION, KIND = range(4)
THING, COLOUR, PLACE, NUMBER, LEFT, RIGHT, ABOVE, BELOW, BIGGER = range(4, 13)
WHOLE, ALL = 4, 13  # how many kinds there are of whole pictures, and with those of things
ALIAS = ALL  # another name that a thing may have: its token, after the last one of the name that it goes by
NAMES = (GROUP, FINE, CAPTION, THING)
START = -1


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence tokens of a batch of pictures.

    Attributes:
        tokens: token ids [b,e] int64; where `ends`, the run is over and the id is that of its last token.
        previous: id of the token before, or START at the first of a run [b,e] int64.
        kind: GROUP, FINE, CAPTION, ... [b,e] int64.
        rank: 0 for the likeliest run of its kind [b,e] int64.
        confidence: probability of a name or caption [b,e].
        ends: the slot says "this run is over" [b,e] bool.
        mask: the slot is in use [b,e] bool.
    """

    tokens: torch.Tensor
    previous: torch.Tensor
    kind: torch.Tensor
    rank: torch.Tensor
    confidence: torch.Tensor
    ends: torch.Tensor
    mask: torch.Tensor

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Evidence:
        """The same evidence with `change` applied to every tensor."""
        return Evidence(**{f.name: change(getattr(self, f.name)) for f in fields(self)})

    def beside(self, other: Evidence) -> Evidence:
        """This evidence and other evidence of the same pictures, as one."""
        return compact(
            Evidence(
                **{f.name: torch.cat([getattr(self, f.name), getattr(other, f.name)], dim=1) for f in fields(self)}
            )
        )


@dataclass(frozen=True, slots=True)
class Runs:
    """Evidence before it is laid out: r names and captions a picture.

    Attributes:
        tokens: token ids [b,r,l], padded with -1; a run of nothing but -1 is absent.
        kind, rank, confidence: of each run [b,r] (see `Evidence`).
    """

    tokens: torch.Tensor
    kind: torch.Tensor
    rank: torch.Tensor
    confidence: torch.Tensor

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Runs:
        """The same runs with `change` applied to every tensor."""
        return Runs(**{f.name: change(getattr(self, f.name)) for f in fields(self)})


def ranked(kind: int, tokens: torch.Tensor, confidence: torch.Tensor) -> Runs:
    """Runs of one kind, tokens [b,r,l] and confidence [b,r], the likeliest first."""
    rank = torch.arange(confidence.shape[1], device=confidence.device).expand_as(confidence)
    return Runs(tokens.long(), torch.full_like(rank, kind), rank, confidence)


def joined(*parts: Runs) -> Runs:
    """The runs of all parts, of the same pictures."""
    length = max(part.tokens.shape[2] for part in parts)
    return Runs(
        torch.cat([pad(part.tokens, (0, length - part.tokens.shape[2]), value=-1) for part in parts], dim=1),
        torch.cat([part.kind for part in parts], dim=1),
        torch.cat([part.rank for part in parts], dim=1),
        torch.cat([part.confidence for part in parts], dim=1),
    )


def lay_out(found: Runs) -> Evidence:
    """Runs of tokens as evidence slots, each run followed by its end."""
    runs, kind, rank, confidence = found.tokens, found.kind, found.rank, found.confidence
    b, r, length = runs.shape
    tokens = torch.cat([runs, runs.new_full((b, r, 1), -1)], dim=2)  # [b,r,l+1]
    previous = torch.cat([runs.new_full((b, r, 1), START), runs], dim=2)
    used = tokens >= 0
    ends = ~used & (previous >= 0)
    tokens = torch.where(ends, previous, tokens)

    def flat(value: torch.Tensor) -> torch.Tensor:
        return value.unsqueeze(2).expand(b, r, length + 1).reshape(b, -1)

    return compact(
        Evidence(
            tokens=tokens.clamp_min(0).reshape(b, -1),
            previous=previous.reshape(b, -1),
            kind=flat(kind),
            rank=flat(rank),
            confidence=flat(confidence),
            ends=ends.reshape(b, -1),
            mask=(used | ends).reshape(b, -1),
        )
    )


def compact(evidence: Evidence) -> Evidence:
    """Used slots first, and no more slots than the fullest picture needs: padding would cost in every fused layer."""
    order = (~evidence.mask).to(torch.uint8).argsort(dim=1, stable=True)
    most = int(evidence.mask.sum(dim=1).max()) if evidence.mask.numel() else 0
    return evidence.map(lambda value: value.gather(1, order)[:, :most])
