"""From pictures to fused memory: encoder, evidence and the projection that puts both into the language model's width.

Shapes: b pictures, v views of each, n grid cells, d_v encoder width, e evidence tokens, d model width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from vlbm.config import VLBMConfig
from vlbm.encoders import EncoderSpec
from vlbm.evidence.asked import TRAITS
from vlbm.evidence.runs import ALL, START, WHOLE, Evidence
from vlbm.fusion import Memory, unit
from vlbm.pictures import open_picture

CONFIDENCE_BINS = 16
RANKS = 8


@dataclass(frozen=True, slots=True)
class Visual:
    """What was seen of a batch of pictures: all that later stages need, so it can be cached by picture.

    Attributes:
        grid: features of the whole picture [b,n,d_v]; of lower precision where they were kept.
        evidence: names and captions.
        seen: cells that belong to a picture [b,n] bool; None is all. Rows of `gather` may have fewer pictures.
    """

    grid: torch.Tensor
    evidence: Evidence
    seen: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> Visual:
        """The same on a device."""
        seen = None if self.seen is None else self.seen.to(device)
        return Visual(self.grid.to(device), self.evidence.map(lambda value: value.to(device)), seen)

    def repeat(self, times: int) -> Visual:
        """The same for `times` questions about each picture."""
        seen = None if self.seen is None else self.seen.repeat_interleave(times, dim=0)
        evidence = self.evidence.map(lambda value: value.repeat_interleave(times, dim=0))
        return Visual(self.grid.repeat_interleave(times, dim=0), evidence, seen)


class MemoryBuilder(nn.Module):
    """Lays grid cells and evidence tokens out as one memory of model width."""

    def __init__(self, config: VLBMConfig, spec: EncoderSpec, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(spec.width, width)
        self.cell = nn.Parameter(torch.zeros(spec.cells, width))
        self.kind = nn.Embedding((ALL if config.evidence_regions else WHOLE) + 1, width)  # the last is the grid's
        self.rank = nn.Embedding(RANKS, width)
        self.confidence = nn.Linear(CONFIDENCE_BINS, width, bias=False)
        self.asked = nn.Parameter(torch.zeros(TRAITS, width))
        self.start = nn.Parameter(torch.zeros(width))
        self.end = nn.Parameter(torch.zeros(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Traits start at RMS about 1, so that a slot's kind and certainty weigh as much as its content."""
        nn.init.normal_(self.project.weight, std=self.project.in_features**-0.5)
        nn.init.zeros_(self.project.bias)
        nn.init.normal_(self.cell, std=0.5)
        for embedding in (self.kind, self.rank):
            nn.init.normal_(embedding.weight, std=0.5)
        nn.init.normal_(self.confidence.weight, std=0.5)
        nn.init.normal_(self.asked, std=0.5)
        nn.init.normal_(self.start)
        nn.init.normal_(self.end)

    def forward(
        self, visual: Visual, embeddings: torch.Tensor, mean: torch.Tensor, asked: torch.Tensor | None = None
    ) -> Memory:
        """Build the memory.

        Args:
            visual: what was seen.
            embeddings: the language model's input embeddings [vocabulary,d].
            mean: their mean [d], taken off so that unrelated words are orthogonal.
            asked: what the question has of each evidence token [b,e,6] (see `vlbm.evidence.asked`).
        """
        grid, evidence = visual.grid, visual.evidence
        b, n, _ = grid.shape
        cells = unit(self.project(unit(grid.to(self.project.weight.dtype))))  # [b,n,d]
        words = unit(embeddings[evidence.tokens].to(mean.dtype) - mean)  # [b,e,d]
        words = torch.where(evidence.ends.unsqueeze(-1), self.end, words)
        before = unit(embeddings[evidence.previous.clamp_min(0)].to(mean.dtype) - mean)
        before = torch.where((evidence.previous == START).unsqueeze(-1), self.start, before)
        traits = (
            self.kind(evidence.kind)
            + self.rank(evidence.rank.clamp_max(RANKS - 1))
            + self.confidence(soft_bins(evidence.confidence))
        )
        if asked is not None:
            traits = traits + asked.to(traits.dtype) @ self.asked
        places = self.cell.repeat(n // self.cell.shape[0], 1)  # once a picture
        cell_traits = (places + self.kind.weight[-1]).expand(b, n, -1)
        e = words.shape[1]
        every = torch.ones(b, n, dtype=torch.bool, device=grid.device)
        seen = every if visual.seen is None else visual.seen
        return Memory(
            content=torch.cat([cells, words], dim=1),
            previous=torch.cat([torch.zeros_like(cells), before], dim=1),
            traits=torch.cat([cell_traits, traits], dim=1),
            words=torch.cat([~every, every[:, :1].expand(b, e)], dim=1),
            mask=torch.cat([seen, evidence.mask], dim=1),
        )


def gather(rows: Sequence[Sequence[Visual]]) -> Visual:
    """Pictures of several turns as one batch: a row's pictures one after the other, shorter rows padded.

    Args:
        rows: for each of b turns its pictures, each a batch of one; at least one picture in all.
    """
    one = next(visual for row in rows for visual in row)
    n = max(sum(visual.grid.shape[1] for visual in row) for row in rows)
    grid = one.grid.new_zeros(len(rows), n, one.grid.shape[2])
    seen = torch.zeros(len(rows), n, dtype=torch.bool, device=grid.device)
    evidence = []
    for number, row in enumerate(rows):
        cells = torch.cat([visual.grid[0] for visual in row]) if row else grid.new_zeros(0, grid.shape[2])
        grid[number, : len(cells)] = cells
        seen[number, : len(cells)] = True
        evidence.append([visual.evidence for visual in row] or [one.evidence.map(lambda value: value[:, :0])])
    joined = {
        field.name: pad_sequence([torch.cat([getattr(e, field.name)[0] for e in row]) for row in evidence], True)
        for field in fields(Evidence)
    }
    return Visual(grid, Evidence(**joined), None if bool(seen.all()) else seen)


def rows_of(visual: Visual, counts: Sequence[int]) -> Visual:
    """A batch of pictures, of which each row has so many, one after the other -> a batch of rows (see `gather`)."""
    each = [
        Visual(visual.grid[n : n + 1], visual.evidence.map(lambda value, n=n: value[n : n + 1]))  # type: ignore[misc]
        for n in range(len(visual.grid))
    ]
    ends = list(accumulate(counts))
    return gather([each[end - count : end] for end, count in zip(ends, counts, strict=True)])


def soft_bins(confidence: torch.Tensor) -> torch.Tensor:
    """A confidence in [0,1] as a soft one-hot over bins that are even in its logit [..., bins]."""
    clipped = confidence.clamp(0.002, 0.998)
    place = (torch.logit(clipped) / torch.logit(torch.tensor(0.998)) + 1) / 2 * (CONFIDENCE_BINS - 1)
    bins = torch.arange(CONFIDENCE_BINS, device=confidence.device)
    return (1 - (place.unsqueeze(-1) - bins).abs()).clamp_min(0)


def average_views(logits: torch.Tensor, views: int) -> torch.Tensor:
    """Logits of each view [b*v,c] -> log of the average probability over the views [b,c]; c may be 0."""
    rows, classes = logits.shape
    probabilities = logits.softmax(dim=-1).view(rows // views, views, classes).mean(dim=1)
    return probabilities.clamp_min(1e-12).log()


@torch.no_grad()
def style_of(model: Any, processor: Any, data: bytes) -> torch.Tensor:
    """What a visual memory compares a picture by [s], of its encoded bytes.

    Args:
        model, processor: of which the encoder matters.
        data: a picture in any format that can be read.

    Raises:
        PictureError: the bytes are no picture that can be read.
    """
    pixels = processor.image_processor(open_picture(data))["pixel_values"]
    style: torch.Tensor = model.encode(pixels.to(model.device)).style[0].cpu()
    return style
