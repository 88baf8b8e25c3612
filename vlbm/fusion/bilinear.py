"""Low-rank bilinear pooling (Kim et al. 2017, "Hadamard Product for Low-rank Bilinear Pooling", equation 8).

R = M + alpha * P (tanh(U M) * tanh(V F))
"""

from __future__ import annotations

import torch
from torch import nn

from vlbm.fusion.base import Fusion, unit


class LowRankBilinear(Fusion):
    """The rank is the width of the reading (heads times channels); alpha is one number a channel, from zero."""

    def make_gates(self) -> None:
        """U, V, P and alpha."""
        rank = self.heads * self.head_width
        self.of_state = nn.Linear(self.width, rank, bias=False)
        self.of_picture = nn.Linear(self.width, rank, bias=False)
        self.back = nn.Linear(rank, self.width, bias=False)
        self.alpha = nn.Parameter(torch.zeros(self.width))

    def reset_gates(self) -> None:
        """alpha = 0."""
        nn.init.zeros_(self.alpha)

    def join(
        self, states: torch.Tensor, normal: torch.Tensor, found: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """alpha * P(...), scaled to M, and no other change of M."""
        product = torch.tanh(self.of_state(normal)) * torch.tanh(self.of_picture(found))  # [b,t,rank]
        return self.alpha * unit(self.back(product)) * scale, torch.zeros_like(states)
