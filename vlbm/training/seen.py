"""What the frozen encoder sees of pictures, kept on disk by the content of picture and encoder.

A picture that was seen once costs a file read afterwards, in this training and every other with the same encoder.
Features are kept in half precision, and are the same whether they come from the encoder or from disk. It knows files,
not tasks.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from vlbm.evidence.runs import Evidence
from vlbm.fingerprint import fingerprint
from vlbm.perception import Visual
from vlbm.pictures import open_picture


class SeenPictures:
    """The cache of one model's encoder.

    Args:
        model, processor: of which the encoder, the evidence tables and the picture processor matter.
        folder: of the cache; models and trainings may share it.
    """

    def __init__(self, model: Any, processor: Any, folder: Path) -> None:
        self.model, self.processor = model, processor
        self.folder = folder / _identity(model, processor)
        self.looked = 0

    def see(self, path: Path, language: str = "en") -> Visual:
        """What is seen of a picture, as a batch of one.

        Args:
            path: of its file.
            language: of the answer: names and captions are in it, where the model knows them in it.

        Raises:
            PictureError: the file is no picture that can be read.
            OSError: the file cannot be read.
        """
        data = path.read_bytes()
        spoken = language if language in self.processor.languages[1:] else self.processor.languages[0]
        kept = self.folder / f"{hashlib.sha256(data).hexdigest()}-{spoken}.safetensors"
        if kept.is_file() and (found := _read(kept)) is not None:
            return found
        pixels = self.processor.image_processor(open_picture(data))["pixel_values"]
        number = torch.tensor([self.processor.language_number(spoken)], device=self.model.device)
        visual: Visual = self.model.look(pixels.to(self.model.device), languages=number)
        self.looked += 1
        self._keep(kept, visual.to("cpu"))
        return _rounded(visual.to("cpu"))

    def _keep(self, path: Path, visual: Visual) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {field.name: getattr(visual.evidence, field.name).contiguous() for field in fields(Evidence)}
        part = path.with_suffix(f".{os.getpid()}.part")
        save_file({"grid": visual.grid.half().contiguous(), **tensors}, part)
        part.rename(path)


def _read(path: Path) -> Visual | None:
    """A kept file; None if it is torn, and is then made anew."""
    try:
        tensors = load_file(path)
    except SafetensorError:
        return None
    grid = tensors.pop("grid")
    return Visual(grid=grid.float(), evidence=Evidence(**tensors))


def _rounded(visual: Visual) -> Visual:
    return Visual(grid=visual.grid.half().float(), evidence=visual.evidence)


def _identity(model: Any, processor: Any) -> str:
    states = chain(model.encoder.state_dict().items(), model.evidence.state_dict().items())
    return fingerprint(states, processor.image_processor.to_json_string())[:16]
