"""The nearest neighbour among the training pictures, by the encoder's pooled features.

Features are kept in a file that is named by the encoder and the pictures. The comparison is that of
`vlbm.evaluation.nearest`. It knows pictures and captions, not questions.

Shapes: k pictures, d_v encoder width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from vlbm.errors import DataError
from vlbm.evaluation.nearest import Known, nearest
from vlbm.memory.teach import encoder_identity
from vlbm.pictures import open_picture

Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Pictures that may be found, and what each shows.

    Attributes:
        features: pooled [k,d_v].
        captions: of each picture by language.
    """

    features: torch.Tensor
    captions: tuple[Mapping[str, str], ...]

    @classmethod
    @torch.inference_mode()
    def look(
        cls, model: Any, processor: Any, captions: Mapping[Path, Mapping[str, str]], cache: Path, tell: Tell
    ) -> Neighbours:
        """See pictures, or read what was seen of the same ones before.

        Args:
            model, processor: of which the encoder matters.
            captions: of each picture by language.
            cache: the folder that features are kept in.
            tell: is told stage, done, total and a note.
        """
        pictures = [(path, path.read_bytes()) for path in captions]
        digest = hashlib.sha256(encoder_identity(model, processor).encode())
        for _, data in pictures:
            digest.update(hashlib.sha256(data).digest())
        kept = cache / f"neighbours-{digest.hexdigest()[:16]}.safetensors"
        if kept.is_file():
            return cls(load_file(kept)["features"], tuple(captions.values()))
        features = []
        for number, (_, data) in enumerate(pictures, start=1):
            pixels = processor.image_processor(open_picture(data))["pixel_values"]
            features.append(model.encode(pixels.to(model.device)).pooled[0].float().cpu())
            tell("Looking at training pictures", number, len(pictures), "")
        found = torch.stack(features)
        cache.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part")
        save_file({"features": found}, part)
        part.rename(kept)
        return cls(found, tuple(captions.values()))

    @property
    def width(self) -> int:
        """d_v."""
        return int(self.features.shape[1])

    def say(self, pooled: torch.Tensor, language: str) -> str:
        """What was said in a language of the picture most like features [d_v].

        Raises:
            DataError: no picture has a caption in this language.
        """
        places = [place for place, said in enumerate(self.captions) if language in said]
        if not places:
            raise DataError(f"no training picture has a caption in {language}")
        known = Known(self.features[places], tuple(self.captions[place][language] for place in places))
        return nearest(known, pooled[None])[0]

    def beside(self, features: torch.Tensor, captions: tuple[Mapping[str, str], ...]) -> Neighbours:
        """These and more of them."""
        return Neighbours(torch.cat([self.features, features]), (*self.captions, *captions))
