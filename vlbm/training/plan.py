"""How long, how fast and what is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vlbm.errors import ConfigError

Trained = Literal["fusion", "all"]
Precision = Literal["no", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A training.

    Attributes:
        steps: optimiser steps.
        batch: examples a step and process, in `accumulate` parts.
        accumulate: parts of a batch that go through the model one after the other.
        rate: peak learning rate; `gate_rate` that of alpha, beta and the gates.
        warmup: steps of linear warm-up; then a cosine to a twentieth.
        clip: largest norm of the gradient.
        precision: "no" is float32; "bf16" and "fp16" are mixed.
        trained: "fusion" is projection and fusions, from the examples that have pictures; "all" is the language model
            too.
        lower_cache_gb: memory for what frozen layers below the first fusion make of the training examples (see
            `lower`), in gigabytes; 0 computes it each time.
        encoder_stages: so many of the encoder's last stages learn too; 0 freezes it, and what it saw is kept on disk.
        evaluate_every: steps between evaluations on held-out examples, each of which is also a checkpoint.
        patience: evaluations without gain that end the training; the best weights stay.
        seed: of everything random.
    """

    steps: int = 1000
    batch: int = 16
    accumulate: int = 1
    rate: float = 5e-4
    gate_rate: float = 2e-3
    warmup: int = 50
    clip: float = 1.0
    precision: Precision = "no"
    trained: Trained = "fusion"
    lower_cache_gb: float = 4.0
    encoder_stages: int = 0
    evaluate_every: int = 100
    patience: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "evaluate_every", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("rate", "gate_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("warmup", "lower_cache_gb", "encoder_stages"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be below 0, got {getattr(self, name)}")
        if self.batch % self.accumulate:
            raise ConfigError(f"batch {self.batch} must be a multiple of accumulate {self.accumulate}")
        for name, kind in (("precision", Precision), ("trained", Trained)):
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"unknown {name} {getattr(self, name)!r}: use one of {', '.join(get_args(kind))}")
