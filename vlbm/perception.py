"""From pictures to fused memory: encoder, evidence and the projection that puts both into the language model's width.

Shapes: b pictures, v views of each, n grid cells, d_v encoder width, e evidence tokens, d model width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from vlbm.config import VLBMConfig
from vlbm.encoders import EncoderSpec
from vlbm.evidence.table import KINDS, START, Evidence
from vlbm.fusion import Memory, unit

CONFIDENCE_BINS = 16
RANKS = 8


@dataclass(frozen=True, slots=True)
class Visual:
    """What was seen of a batch of pictures: all that later stages need, so it can be cached by picture.

    Attributes:
        grid: features of the whole picture [b,n,d_v].
        evidence: names and captions.
    """

    grid: torch.Tensor
    evidence: Evidence


class MemoryBuilder(nn.Module):
    """Lays grid cells and evidence tokens out as one memory of model width."""

    def __init__(self, config: VLBMConfig, spec: EncoderSpec, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(spec.width, width)
        self.cell = nn.Parameter(torch.zeros(spec.cells, width))
        self.kind = nn.Embedding(KINDS + 1, width)
        self.rank = nn.Embedding(RANKS, width)
        self.confidence = nn.Linear(CONFIDENCE_BINS, width, bias=False)
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
        nn.init.normal_(self.start)
        nn.init.normal_(self.end)

    def forward(self, visual: Visual, embeddings: torch.Tensor, mean: torch.Tensor) -> Memory:
        """Build the memory.

        Args:
            visual: what was seen.
            embeddings: the language model's input embeddings [vocabulary,d].
            mean: their mean [d], taken off so that unrelated words are orthogonal.
        """
        grid, evidence = visual.grid, visual.evidence
        b, n, _ = grid.shape
        cells = unit(self.project(unit(grid)))  # [b,n,d]
        words = unit(embeddings[evidence.tokens].to(mean.dtype) - mean)  # [b,e,d]
        words = torch.where(evidence.ends.unsqueeze(-1), self.end, words)
        before = unit(embeddings[evidence.previous.clamp_min(0)].to(mean.dtype) - mean)
        before = torch.where((evidence.previous == START).unsqueeze(-1), self.start, before)
        traits = (
            self.kind(evidence.kind)
            + self.rank(evidence.rank.clamp_max(RANKS - 1))
            + self.confidence(soft_bins(evidence.confidence))
        )
        cell_traits = (self.cell + self.kind.weight[KINDS]).expand(b, n, -1)
        e = words.shape[1]
        seen = torch.ones(b, n, dtype=torch.bool, device=grid.device)
        return Memory(
            content=torch.cat([cells, words], dim=1),
            previous=torch.cat([torch.zeros_like(cells), before], dim=1),
            traits=torch.cat([cell_traits, traits], dim=1),
            words=torch.cat([~seen, seen[:, :1].expand(b, e)], dim=1),
            mask=torch.cat([seen, evidence.mask], dim=1),
        )


def soft_bins(confidence: torch.Tensor) -> torch.Tensor:
    """A confidence in [0,1] as a soft one-hot over bins that are even in its logit [..., bins]."""
    clipped = confidence.clamp(0.002, 0.998)
    place = (torch.logit(clipped) / torch.logit(torch.tensor(0.998)) + 1) / 2 * (CONFIDENCE_BINS - 1)
    bins = torch.arange(CONFIDENCE_BINS, device=confidence.device)
    return (1 - (place.unsqueeze(-1) - bins).abs()).clamp_min(0)


def average_views(logits: torch.Tensor, views: int) -> torch.Tensor:
    """Logits of each view [b*v,c] -> log of the average probability over the views [b,c]."""
    probabilities = logits.softmax(dim=-1).view(-1, views, logits.shape[-1]).mean(dim=1)
    return probabilities.clamp_min(1e-12).log()
