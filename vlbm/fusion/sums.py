"""R = alpha*F + beta*M in its plain forms: alpha and beta one number, one a channel, or one a token.

Each form reads the memory by attention, or pooled. Nothing is copied; for that see `weighted_sum`.
"""

from __future__ import annotations

import torch
from torch import nn

from vlbm.fusion.base import Fusion


class ScalarSum(Fusion):
    """alpha and beta are one number each."""

    def make_gates(self) -> None:
        """alpha and beta - 1."""
        self.alpha = nn.Parameter(torch.zeros(self.gate_width()))
        self.beta_offset = nn.Parameter(torch.zeros(self.gate_width()))

    def gate_width(self) -> int:
        """Numbers in alpha."""
        return 1

    def reset_gates(self) -> None:
        """alpha = 0, beta = 1."""
        nn.init.zeros_(self.alpha)
        nn.init.zeros_(self.beta_offset)

    def join(
        self, states: torch.Tensor, normal: torch.Tensor, found: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """alpha*F and (beta - 1)*M."""
        return self.alpha * found * scale, self.beta_offset * states


class ChannelSum(ScalarSum):
    """alpha and beta are one number a channel."""

    def gate_width(self) -> int:
        """Numbers in alpha."""
        return self.width


class TokenSum(Fusion):
    """alpha and beta are one number a token, computed from M and F."""

    def make_gates(self) -> None:
        """One map to alpha and beta - 1."""
        self.gate = nn.Linear(2 * self.width, 2)

    def reset_gates(self) -> None:
        """alpha = 0, beta = 1 for every token."""
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def join(
        self, states: torch.Tensor, normal: torch.Tensor, found: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """alpha*F and (beta - 1)*M."""
        alpha, beta_offset = self.gate(torch.cat([normal, found], dim=-1)).split(1, dim=-1)  # [b,t,1] each
        return alpha * found * scale, beta_offset * states


class PooledScalarSum(ScalarSum):
    """One alpha, F the mean of the memory."""

    pooled = True


class PooledChannelSum(ChannelSum):
    """alpha a channel, F the mean of the memory."""

    pooled = True


class PooledTokenSum(TokenSum):
    """alpha a token, F the mean of the memory."""

    pooled = True
