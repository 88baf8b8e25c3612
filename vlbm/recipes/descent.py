"""The training loop of the small fits: AdamW, with a rate that falls along a cosine to nothing. It knows no model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn


def descend(
    parameters: Iterable[nn.Parameter],
    loss: Callable[[], torch.Tensor],
    *,
    steps: int,
    rate: float,
    decay: float,
    tell: Callable[[int, int], None],
) -> None:
    """Make the loss small, in place.

    Args:
        parameters: that learn.
        loss: draws a batch and says how wrong they are on it.
        steps, rate, decay: how many, how fast at first, and the weight decay.
        tell: is told steps done and in all.
    """
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    with torch.enable_grad():
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimiser.zero_grad()
            loss().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            tell(step + 1, steps)
