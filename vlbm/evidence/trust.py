"""How far an encoder's class probabilities can be believed, by how a picture is drawn.

A classifier of photos is as sure of a drawing as of a photo, and mostly wrong there. A fitted logistic regression on
the probability and the picture's style says how likely the name is right (Platt 1999, with more inputs). A style only
takes belief away: the regression is fitted on drawings, and what it would add to a photo is no more than extrapolated.
Where nothing was fitted, probabilities stay as they are. It knows styles and numbers, not names.

Shapes: b batch, k names, s width of the style.
"""

from __future__ import annotations

import torch
from torch import nn

EDGE = 1e-3


def evened(style: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Styles [b,s] with channels centred and scaled, of RMS one."""
    centred = nn.functional.normalize((style - mean.to(style.dtype)) * scale.to(style.dtype), dim=-1)
    even: torch.Tensor = centred * style.shape[-1] ** 0.5
    return even


class ClassTrust(nn.Module):
    """The fitted regression, as buffers.

    Attributes:
        slope: of the probability's logit [1]; weight: of the style [s]; bias [1].
    """

    slope: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("slope", torch.ones(1))
        self.register_buffer("weight", torch.zeros(width))
        self.register_buffer("bias", torch.zeros(1))

    def forward(self, probability: torch.Tensor, even: torch.Tensor) -> torch.Tensor:
        """Probabilities of names [b,k] and evened styles [b,s] -> probabilities that a name is right [b,k]."""
        drawn = (even @ self.weight.to(even.dtype) + self.bias.to(even.dtype)).clamp_max(0)
        likely = torch.logit(probability.clamp(EDGE, 1 - EDGE)) * self.slope.to(even.dtype) + drawn[:, None]
        return torch.where(probability > EDGE, likely.sigmoid(), probability)
