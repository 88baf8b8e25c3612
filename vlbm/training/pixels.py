"""Pictures for an encoder that learns: what it sees changes with every step, so their pixels are kept instead.

Kept as bytes, 150 KB a view of 224 x 224, and normalised when a batch is made. It knows files, not tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vlbm.pictures import open_picture


@dataclass(frozen=True, slots=True)
class Pixels:
    """One picture.

    Attributes:
        views: its views as bytes [v,3,h,w].
        normalise: makes of them what the encoder takes.
    """

    views: torch.Tensor
    normalise: Callable[[torch.Tensor], torch.Tensor]

    def values(self) -> torch.Tensor:
        """What the encoder takes [v,3,h,w]."""
        return self.normalise(self.views)


class PixelPictures:
    """Reads pictures; in the place of `SeenPictures` where the encoder learns.

    Args:
        processor: of which the picture processor matters.
    """

    def __init__(self, processor: Any) -> None:
        self.images = processor.image_processor

    def see(self, path: Path, _language: str = "en") -> Pixels:
        """A picture's pixels, whatever language is spoken of them.

        Raises:
            PictureError: the file is no picture that can be read.
            OSError: the file cannot be read.
        """
        return Pixels(self.images.square(open_picture(path.read_bytes())), self.images.normalise)
