"""Tanh-gated cross-attention with a feed-forward (Flamingo, Alayrac et al. 2022, section 2.2 and figure 4).

Y = M + tanh(alpha_0) * F
R = Y + tanh(alpha_1) * FeedForward(Y)
"""

from __future__ import annotations

import torch
from torch import nn

from vlbm.fusion.base import Fusion, unit


class Flamingo(Fusion):
    """Both additions are scaled to the RMS of M; alpha holds the two gates, which start at zero."""

    def make_gates(self) -> None:
        """The feed-forward, four times as wide inside, and the two gates."""
        self.expand = nn.Linear(self.width, 4 * self.width, bias=False)
        self.contract = nn.Linear(4 * self.width, self.width, bias=False)
        self.alpha = nn.Parameter(torch.zeros(2))

    def reset_gates(self) -> None:
        """tanh(alpha) = 0."""
        nn.init.zeros_(self.alpha)

    def join(
        self, states: torch.Tensor, normal: torch.Tensor, found: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both additions together, and no other change of M."""
        attend, feed = torch.tanh(self.alpha)
        attended = attend * found * scale
        fed = self.contract(nn.functional.gelu(self.expand(unit(states + attended))))
        return attended + feed * fed * scale, torch.zeros_like(states)
