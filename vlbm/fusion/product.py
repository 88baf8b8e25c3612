"""Element-wise product: R = M * (1 + m * tanh(alpha) * F)."""

from __future__ import annotations

import torch
from torch import nn

from vlbm.fusion.base import Fusion


class Product(Fusion):
    """The picture turns channels of M up and down; alpha is one number a channel and starts at zero."""

    def make_gates(self) -> None:
        """alpha."""
        self.alpha = nn.Parameter(torch.zeros(self.width))

    def reset_gates(self) -> None:
        """tanh(alpha) = 0."""
        nn.init.zeros_(self.alpha)

    def join(
        self, states: torch.Tensor, normal: torch.Tensor, found: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """M * tanh(alpha) * F, and no other change of M."""
        return states * torch.tanh(self.alpha) * found, torch.zeros_like(states)
