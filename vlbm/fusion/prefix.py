"""Prefix tokens (ClipCap, Mokady et al. 2021, section 3.3): the picture is the beginning of the prompt.

R = M + alpha * F, where M are the embeddings of tokens that stand for the picture, and F answers learned questions, one
a token. ClipCap's prefix is F alone; with alpha from zero the untrained model is the bare one on the same tokens.

The usual baseline beside fusions inside the layers. Its picture reaches the answer through the language model's own
attention, so `image_weight` of the answer's tokens is zero: it says nothing of them.
"""

from __future__ import annotations

import torch
from torch import nn

from vlbm.fusion.base import Fusion


class Prefix(Fusion):
    """Ten tokens, as in ClipCap; alpha is one number a channel and starts at zero."""

    prompt_tokens = 10

    def make_gates(self) -> None:
        """The questions, and alpha."""
        self.places = nn.Embedding(self.prompt_tokens, self.width)
        self.alpha = nn.Parameter(torch.zeros(self.width))

    def reset_gates(self) -> None:
        """alpha = 0."""
        nn.init.normal_(self.places.weight)
        nn.init.zeros_(self.alpha)

    def questions(self, normal: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """The n-th active token asks the n-th question; a prompt is therefore not to be read in parts of the prefix."""
        asked: torch.Tensor = self.places((active.cumsum(dim=1) - 1).clamp(0, self.prompt_tokens - 1))
        return asked

    def join(
        self, states: torch.Tensor, normal: torch.Tensor, found: torch.Tensor, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """alpha * F, and no other change of M.

        Not scaled to M, as others are: embeddings are small, and a prefix of their size is drowned by the layers.
        """
        return self.alpha * found, torch.zeros_like(states)
