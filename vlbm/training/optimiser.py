"""Which parameters decay, which learn faster, and how the rate changes over a training.

No weight decay on alpha, beta and gates, which would pull the picture out of the model, nor on vectors (norms, biases),
scales of layers and embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import nn

DECAY = 0.01
PLAIN = ("embedding", ".kind.", ".rank.", "layer_scale")
FLOOR = 0.05  # of the peak rate, at the end


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]], *, rate: float, gate_rate: float
) -> list[dict[str, Any]]:
    """Groups for AdamW; each has its peak rate under `peak`.

    Args:
        named: the parameters that are trained.
        rate: of all but the gates.
        gate_rate: of alpha, beta and gates.
    """
    gates, plain, decayed = list[nn.Parameter](), list[nn.Parameter](), list[nn.Parameter]()
    for name, parameter in named:
        if is_gate(name):
            gates.append(parameter)
        elif parameter.ndim < 2 or any(part in name for part in PLAIN):
            plain.append(parameter)
        else:
            decayed.append(parameter)
    return [
        {"params": decayed, "peak": rate, "weight_decay": DECAY},
        {"params": plain, "peak": rate, "weight_decay": 0.0},
        {"params": gates, "peak": gate_rate, "weight_decay": 0.0},
    ]


def is_gate(name: str) -> bool:
    """Whether a parameter is an alpha, a beta or part of a gate."""
    return ".gate." in name or name.endswith((".alpha", ".beta_offset"))


def schedule(step: int, *, steps: int, warmup: int) -> float:
    """Share of the peak rate: linear warm-up, then a cosine to a twentieth."""
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * done))
