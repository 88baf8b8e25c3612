"""Gated sum (Wu et al. 2021, "Good for Misconceived Reasons", section 2.2): R = M + sigmoid(W [M, F]) * F.

Theirs has nothing that starts at zero. Here F is also multiplied by alpha, one number a channel that starts at zero, so
that an untrained fusion leaves the language model as it was.
"""

from __future__ import annotations

import torch
from torch import nn

from vlbm.fusion.base import Fusion


class SigmoidGate(Fusion):
    """A gate a token and channel, from M and F."""

    def make_gates(self) -> None:
        """The gate's map, and alpha."""
        self.gate = nn.Linear(2 * self.width, self.width)
        self.alpha = nn.Parameter(torch.zeros(self.width))

    def reset_gates(self) -> None:
        """alpha = 0; the gate is about a half."""
        nn.init.normal_(self.gate.weight, std=0.02)
        nn.init.zeros_(self.alpha)

    def join(
        self, states: torch.Tensor, normal: torch.Tensor, found: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """gate * alpha * F, and no other change of M."""
        gate = torch.sigmoid(self.gate(torch.cat([normal, found], dim=-1)))  # [b,t,d]
        return gate * self.alpha * found * scale, torch.zeros_like(states)
