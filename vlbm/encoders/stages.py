"""Which part of an encoder learns: none of it, or its last stages.

A stage of a convolutional network is what works at one resolution; a stage of a vision tower is one layer. This module
knows nothing of what the stages compute.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from vlbm.encoders.spec import Encoder, Stage
from vlbm.errors import ConfigError


def by_resolution(parts: Iterable[nn.Module]) -> list[Stage]:
    """The parts of a convolutional network, in their order -> its stages, the last first."""
    stages: list[list[nn.Module]] = []
    for part in parts:
        if not stages or _shrinks(part):
            stages.append([])
        stages[-1].append(part)
    return [tuple(stage) for stage in reversed(stages) if any(True for part in stage for _ in part.parameters())]


def _shrinks(part: nn.Module) -> bool:
    """Whether a convolution or a pooling in it has a stride."""
    strides = [getattr(inner, "stride", 1) for inner in part.modules()]
    return any(max(stride) > 1 if isinstance(stride, tuple) else stride > 1 for stride in strides)


def open_stages(encoder: Encoder, count: int) -> None:
    """Let the last stages learn, and nothing else of the encoder; 0 freezes it.

    Raises:
        ConfigError: it has fewer stages.
    """
    stages = encoder.stages()
    if not 0 <= count <= len(stages):
        raise ConfigError(f"encoder_stages must be 0 to {len(stages)}, the stages of this encoder, got {count}")
    encoder.requires_grad_(False)
    for stage in stages[:count]:
        for part in stage:
            part.requires_grad_(True)
