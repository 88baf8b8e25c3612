"""Turns class logits and styles into evidence: short runs of language-model tokens with a confidence.

Two sources. *Names*: the encoder's class probabilities, added up to everyday names ("tabby", "Egyptian cat" -> "cat"),
and the fine name where one class stands out. *Memory*: what the most similar of remembered pictures show
(`neighbours`). Both speak the language of the answer. The tables are buffers of token ids and features, so a saved
model carries them; this module has nothing to learn and knows nothing of the fusion.

Shapes: b batch, c classes, g everyday names, N pictures in memory, s width of the style, e evidence tokens, L
languages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import nn

from vlbm.evidence.neighbours import VisualMemory

if TYPE_CHECKING:
    from vlbm.config import VLBMConfig

GROUP, FINE, CAPTION = 0, 1, 2
KINDS = 3
START = -1


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence tokens of a batch of pictures.

    Attributes:
        tokens: token ids [b,e] int64; where `ends`, the run is over and the id is that of its last token.
        previous: id of the token before, or START at the first of a run [b,e] int64.
        kind: GROUP, FINE or CAPTION [b,e] int64.
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

    return _compact(
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


def _compact(evidence: Evidence) -> Evidence:
    """Used slots first, and no more slots than the fullest picture needs: padding would cost in every fused layer."""
    order = (~evidence.mask).to(torch.uint8).argsort(dim=1, stable=True)
    most = int(evidence.mask.sum(dim=1).max()) if evidence.mask.numel() else 0
    return evidence.map(lambda value: value.gather(1, order)[:, :most])


class EvidenceTable(nn.Module):
    """Names of classes and a visual memory, and the look-up that turns a picture's logits and style into `Evidence`.

    Attributes:
        group_of_class: everyday name of each class [c].
        group_tokens: everyday names by language [L,g,l]; class_tokens: fine names, in the first language only [c,l].
        memory: remembered pictures.
    """

    group_of_class: torch.Tensor
    group_tokens: torch.Tensor
    class_tokens: torch.Tensor

    def __init__(self, config: VLBMConfig, *, classes: int, width: int) -> None:
        super().__init__()
        self.groups, self.fine = config.evidence_groups, config.evidence_fine
        g, languages = config.class_groups, len(config.languages)
        named = classes if g else 0
        self.register_buffer("group_of_class", torch.zeros(named, dtype=torch.int32))
        self.register_buffer("group_tokens", torch.full((languages, g, config.name_tokens), -1, dtype=torch.int32))
        self.register_buffer("class_tokens", torch.full((named, config.name_tokens), -1, dtype=torch.int32))
        self.memory = VisualMemory(config, width=width)

    def forward(
        self,
        logits: torch.Tensor,
        style: torch.Tensor,
        *,
        languages: torch.Tensor | None = None,
        exclude: torch.Tensor | None = None,
    ) -> Evidence:
        """The evidence of pictures (see `find`)."""
        return lay_out(self.find(logits, style, languages=languages, exclude=exclude))

    def find(
        self,
        logits: torch.Tensor,
        style: torch.Tensor,
        *,
        languages: torch.Tensor | None = None,
        exclude: torch.Tensor | None = None,
    ) -> Runs:
        """Look up names and captions of pictures.

        Args:
            logits: log of the class probabilities, averaged over views [b,c].
            style: what pictures are compared by [b,s].
            languages: number of the language of each picture's names and captions [b]; default the first.
            exclude: pictures of the memory that may not be found, per picture [b,N] bool (leave-one-out in training).
        """
        b = style.shape[0]
        if languages is None:
            languages = torch.zeros(b, dtype=torch.long, device=style.device)
        found = [*self._names(logits, languages), *self._remembered(style, languages, exclude)]
        length = max((tokens.shape[2] for _, tokens, _ in found), default=1)
        padded = [nn.functional.pad(tokens, (0, length - tokens.shape[2]), value=-1) for _, tokens, _ in found]
        kinds = [torch.full_like(confidence, kind, dtype=torch.long) for kind, _, confidence in found]
        ranks = [torch.arange(confidence.shape[1]).expand(b, -1) for _, _, confidence in found]
        empty = style.new_zeros((b, 0))
        return Runs(
            tokens=torch.cat(padded, dim=1).long() if found else empty.long().unsqueeze(2),
            kind=torch.cat(kinds, dim=1) if found else empty.long(),
            rank=torch.cat(ranks, dim=1).to(style.device) if found else empty.long(),
            confidence=torch.cat([confidence for _, _, confidence in found], dim=1) if found else empty,
        )

    def group_probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Class logits [b,c] -> probability of each everyday name [b,g]."""
        classes = logits.softmax(dim=-1)
        empty = classes.new_zeros(classes.shape[0], self.group_tokens.shape[1])
        return empty.index_add(1, self.group_of_class.long(), classes)

    def _names(self, logits: torch.Tensor, languages: torch.Tensor) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
        if not self.group_tokens.shape[1]:
            return []
        probability, best = self.group_probabilities(logits).topk(self.groups, dim=1)
        found = [(GROUP, self.group_tokens[languages[:, None], best], probability)]
        if self.fine:
            probability, best = logits.softmax(dim=-1).topk(self.fine, dim=1)
            spoken = (languages == 0)[:, None, None]
            found.append((FINE, torch.where(spoken, self.class_tokens[best], -1), probability))
        return found

    def _remembered(
        self, style: torch.Tensor, languages: torch.Tensor, exclude: torch.Tensor | None
    ) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
        if not self.memory.features.shape[0]:
            return []
        return [(CAPTION, *self.memory.find(style, languages, exclude=exclude))]
