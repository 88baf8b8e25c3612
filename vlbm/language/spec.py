"""What the registry knows of a language model: how to make one from scratch, and where weights come from.

It knows nothing of pictures, nor of how a model computes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vlbm.errors import ConfigError

# The marks of `vlbm.tokenizer`: the beginning of a message, its end, padding.
MARKS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Sizes of a language model from scratch.

    Attributes:
        vocabulary: tokens.
        layers, width, heads: of the network; a recurrent one has no heads.
        context: tokens of question and answer together.
        dropout: in training.

    Raises:
        ConfigError: a size that cannot be.
    """

    vocabulary: int
    layers: int = 4
    width: int = 256
    heads: int = 4
    context: int = 512
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("vocabulary", "layers", "width", "heads", "context"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % self.heads:
            raise ConfigError(f"width {self.width} must be a multiple of heads {self.heads}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be from 0 to below 1, got {self.dropout}")


@dataclass(frozen=True, slots=True)
class LanguageWeights:
    """A language model taken apart.

    Attributes:
        config: its transformers configuration.
        state: its weights in float32, under transformers' own keys.
        tokenizer: its tokenizer, with the chat template.
    """

    config: Any
    state: dict[str, torch.Tensor]
    tokenizer: Any


@dataclass(frozen=True, slots=True)
class Package:
    """Weights that an installed package carries.

    Attributes:
        licence: of the weights.
        source: the file; raises `WeightsMissing` where the package is not installed.
        read: takes the file apart.
    """

    licence: str
    source: Callable[[], Path]
    read: Callable[[Path], LanguageWeights]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSpec:
    """One row of the registry; at least one of its two ways to a model is there.

    Attributes:
        name: of the model, or of the family.
        new: the transformers configuration of a model from scratch.
        package: weights that come with an installed package.
    """

    name: str
    new: Callable[[Sizes], Any] | None = None
    package: Package | None = None
