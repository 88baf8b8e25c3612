"""The nearest neighbour baseline: say what was said of the training picture that looks most alike.

A model that does not beat it may only have learned to look up (Devlin et al. 2015, "Exploring Nearest Neighbor
Approaches for Image Captioning"). Pictures are compared by the cosine of their pooled features, from which the
training pictures' mean is taken: features of a CNN share a large common part. It knows features, not pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

from vlbm.evaluation.questions import Group
from vlbm.perception import Visual


@dataclass(frozen=True, slots=True)
class Known:
    """Training examples of one group: features [k,d_v] and what was said."""

    features: torch.Tensor
    targets: tuple[str, ...]


def pooled(visuals: Sequence[Visual]) -> torch.Tensor:
    """Mean of the grid cells of an example's pictures [d_v]."""
    return torch.cat([visual.grid[0] for visual in visuals]).mean(dim=0)


def known(rows: Sequence[tuple[Group, torch.Tensor, str]]) -> dict[Group, Known]:
    """Training examples by group, from the group, features [d_v] and target of each."""
    found: dict[Group, list[tuple[torch.Tensor, str]]] = {}
    for group, features, target in rows:
        found.setdefault(group, []).append((features, target))
    return {
        group: Known(torch.stack([features for features, _ in pairs]), tuple(target for _, target in pairs))
        for group, pairs in found.items()
    }


def nearest(train: Known, features: torch.Tensor) -> list[str]:
    """For each picture's features [b,d_v] what was said of the most similar training picture."""
    mean = train.features.mean(dim=0)
    similarity = normalize(features - mean, dim=1) @ normalize(train.features - mean, dim=1).T  # [b,k]
    return [train.targets[place] for place in similarity.argmax(dim=1).tolist()]
