"""What was seen of pictures, kept by the hash of their bytes, the model that saw them, its language and its memory.

Bounded, least-recently-used caches: a picture asked about again costs no encoder time and no bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any, Generic, TypeVar

import torch

from vlbm.engine.feature_files import FeatureFiles
from vlbm.engine.request import PictureRef
from vlbm.engine.seen import Features, Key
from vlbm.evidence.neighbours import Lent
from vlbm.pictures import open_picture

T = TypeVar("T")


class Cache(Generic[T]):
    """What is known of pictures, by `Key`. Safe to share between threads; `capacity` pictures."""

    def __init__(self, capacity: int = 64) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.capacity = capacity
        self._lock = Lock()
        self._kept: OrderedDict[Key, T] = OrderedDict()

    def get(self, key: Key) -> T | None:
        """What is known of a picture, or None."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Key, known: T) -> None:
        """Keep what is known, and drop what was used longest ago."""
        with self._lock:
            self._kept[key] = known
            self._kept.move_to_end(key)
            while len(self._kept) > self.capacity:
                self._kept.popitem(last=False)

    def forget(self, sha256: str) -> None:
        """Drop all that is known of a picture."""
        with self._lock:
            for key in [key for key in self._kept if key.sha256 == sha256]:
                del self._kept[key]


class FeatureCache(Cache[Features]):
    """Features, about 0.3 MB a picture: in memory, and where `files` are given, there too.

    What was seen with an owner's memory is kept in memory alone.
    """

    def __init__(self, capacity: int = 64, files: FeatureFiles | None = None) -> None:
        super().__init__(capacity)
        self.files = files

    def get(self, key: Key) -> Features | None:
        """What was seen of a picture, or None."""
        found = super().get(key)
        if found is None and self.files and not key.memory:
            found = self.files.get(key)
            if found is not None:
                super().put(key, found)
        return found

    def put(self, key: Key, known: Features) -> None:
        """Keep what was seen, and drop what was used longest ago."""
        super().put(key, known)
        if self.files and not key.memory:
            self.files.put(key, known)

    def forget(self, sha256: str) -> None:
        """Drop all that was seen of a picture."""
        super().forget(sha256)
        if self.files:
            self.files.forget(sha256)


@torch.inference_mode()
def encode(model: Any, processor: Any, picture: PictureRef, language: str, memory: Lent | None = None) -> Features:
    """Load, decode and encode a picture.

    Args:
        model, processor: that look.
        picture: what at.
        language: of names and captions in the evidence.
        memory: that the request brings along.

    Raises:
        PictureError: the bytes are no picture that can be read.
    """
    opened = open_picture(picture.load())
    pixels = processor.image_processor(opened)["pixel_values"].to(model.device)  # [1,v,3,h,w]
    number = torch.tensor([processor.language_number(language)], device=model.device)
    visual = model.look(pixels, languages=number, lent=memory).to("cpu")  # where it is kept
    return Features(visual=visual, width=opened.width, height=opened.height)
