"""What an encoder returns, and what the registry knows of it.

Shapes: b batch, n visual cells, d_v encoder width, s width of the style, c classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn


class Seen(NamedTuple):
    """What an encoder returns: grid [b,n,d_v], pooled [b,d_v], class logits [b,c], style [b,s].

    The style is what pictures are compared by. An encoder may give more than its pooled features: the mean and spread
    of the channels of earlier stages (as in style transfer, Gatys et al. 2016) say how a thing is drawn.
    """

    grid: torch.Tensor
    pooled: torch.Tensor
    logits: torch.Tensor
    style: torch.Tensor


Stage = tuple[nn.Module, ...]


class Encoder(nn.Module, ABC):
    """What every encoder is: pictures [b,3,h,w], normalised, in; `Seen` out."""

    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """What may learn together, from the last stage back (see `vlbm.encoders.stages`)."""


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One row of the registry.

    Attributes:
        width: d_v, channels of a cell.
        cells: n at the encoder's own picture size.
        style: s, channels of the style.
        classes: c, or 0 without a head.
        image_size: side of the square picture in pixels.
        mean, std: normalisation of pixels scaled to [0, 1].
        build: makes the module with random weights.
        weights: its trained weights under the module's own keys, from a file, or without one from where they come from.
    """

    name: str
    licence: str
    width: int
    cells: int
    style: int
    classes: int
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    build: Callable[[], Encoder]
    weights: Callable[[Path | None], dict[str, torch.Tensor]]
