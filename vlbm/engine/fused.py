"""Fusions between the layers of a pass: which layers, on which rows. It knows rows and memories, not how layers run.

Shapes: t tokens of all turns, d model width.
"""

from __future__ import annotations

from typing import Any

import torch

from vlbm.engine.passes import Pass
from vlbm.fusion import unit


class Fusing:
    """The fusions of a model."""

    def __init__(self, model: Any) -> None:
        self.fusions, self.mean = model.fusions, model.embedding_mean
        self.number = {layer: number for number, layer in enumerate(model.config.fusion_layers)}

    def of(self, embeddings: torch.Tensor, what: Pass) -> FusedPass:
        """Of one pass, whose states begin as its embeddings [t,d]."""
        return FusedPass(self, embeddings, what)


class FusedPass:
    """The fusions of one pass.

    Attributes:
        layers: after which there is something to do, in order.
    """

    def __init__(self, fusing: Fusing, states: torch.Tensor, what: Pass) -> None:
        self._fusing, self._states, self._pictured = fusing, states, what.pictured
        self.layers = tuple(fusing.number) if what.pictured else ()
        self._rows = [part.rows.to(states.device) for part in what.pictured]
        self._tokens = [unit(states[rows] - fusing.mean) for rows in self._rows]
        self._weights = states.new_zeros(len(states))

    def fuse(self, layer: int) -> None:
        """Change the states after a layer, in place."""
        number, states = self._fusing.number[layer], self._states
        for part, rows, tokens in zip(self._pictured, self._rows, self._tokens, strict=True):
            active = torch.ones(rows.shape, dtype=torch.bool, device=states.device)
            fused = self._fusing.fusions[number](states[rows], tokens, part.memories[number], active)
            states[rows] = fused.states
            self._weights[rows] += fused.weight / len(self.layers)

    def weights(self) -> torch.Tensor:
        """The pictures' share in each row, averaged over the layers [t]."""
        return self._weights
