"""Pictures on varied grounds, encoded once and kept in shards, so that a stopped recipe goes on where it was.

Each rendering draws its randomness from its own number alone. It knows pictures and the encoder, not language.

Shapes: r renderings, n cells, d_v encoder width, s width of the style, c classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from vlbm.data.compose import nothing, plain, read_cutout, varied
from vlbm.data.splits import TRAIN
from vlbm.recipes.pictures import Picture

Progress = Callable[[int, int], None]
Draw = Callable[[int], Image.Image]
SHARD = 512
NOTHING = -1
# Renderings of each picture beside the plain one: many of few cut-outs, few of many emoji.
VARIED = {"stamps": 5, "foods": 4}
EMPTY, SEED = 300, 7


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoded pictures: grid [r,n,d_v] in half precision, style [r,s], log class probabilities [r,c]."""

    grid: torch.Tensor
    style: torch.Tensor
    logits: torch.Tensor


@dataclass(frozen=True, slots=True)
class Rendering:
    """Which picture is rendered (or NOTHING), and whether plainly, as the memory keeps it."""

    picture: int
    plain: bool


def planned(pictures: Sequence[Picture]) -> list[Rendering]:
    """The renderings of the pictures to train on, and some of nothing at the end."""
    rows = []
    for number, picture in enumerate(pictures):
        if picture.split == TRAIN:
            rows += [Rendering(number, plain=turn == 0) for turn in range(1 + VARIED.get(picture.maker, 1))]
    return rows + [Rendering(NOTHING, plain=False)] * EMPTY


def drawer(pictures: Sequence[Picture], rows: Sequence[Rendering]) -> Draw:
    """What draws the rendering of a number."""
    cutouts = {row.picture: read_cutout(pictures[row.picture].path) for row in rows if row.picture != NOTHING}
    others = list(cutouts.values())

    def draw(number: int) -> Image.Image:
        row, rng = rows[number], np.random.default_rng([SEED, number])
        if row.picture == NOTHING:
            return nothing(rng)
        return plain(cutouts[row.picture]) if row.plain else varied(cutouts[row.picture], others, rng)

    return draw


def encoded(
    model: Any,
    processor: Any,
    draw: Draw,
    count: int,
    folder: Path,
    *,
    key: str,
    mirrored: Sequence[bool],
    tell: Progress,
) -> Encoded:
    """Encode `count` pictures, or read what an earlier run has encoded.

    Args:
        model, processor: of which the encoder and the picture processor matter.
        draw: makes a picture of its number.
        count: of pictures.
        folder: of the shards.
        key: says what is drawn; other keys have other shards.
        mirrored: whether a picture's mirror is averaged in, as it is in use.
        tell: is told pictures done and in all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:12]
    shards = []
    for start in range(0, count, SHARD):
        path = folder / f"{name}-{start:06}.safetensors"
        numbers = range(start, min(start + SHARD, count))
        if not path.is_file():
            part = path.with_suffix(".part")
            save_file(_encode(model, processor, draw, numbers, mirrored), part)
            part.rename(path)
        shards.append(load_file(path))
        tell(numbers[-1] + 1, count)
    return Encoded(**{field.name: torch.cat([shard[field.name] for shard in shards]) for field in fields(Encoded)})


@torch.inference_mode()
def _encode(
    model: Any, processor: Any, draw: Draw, numbers: Sequence[int], mirrored: Sequence[bool]
) -> dict[str, torch.Tensor]:
    images = processor.image_processor
    found: dict[str, list[torch.Tensor]] = {"grid": [], "style": [], "logits": []}
    for start in range(0, len(numbers), 32):
        some = numbers[start : start + 32]
        views = torch.stack([images.square(draw(number))[0] for number in some])  # [b,3,h,w]
        twice = [place for place, number in enumerate(some) if mirrored[number]]
        seen = model.encoder(images.normalise(torch.cat([views, views[twice].flip(-1)])))
        first, second = len(some), torch.arange(len(some), len(some) + len(twice))
        chance = seen.logits.softmax(dim=-1)
        style = seen.style[:first].clone()
        style[twice] = (style[twice] + seen.style[second]) / 2
        chances = chance[:first].clone()
        chances[twice] = (chances[twice] + chance[second]) / 2
        found["grid"].append(seen.grid[:first].half())
        found["style"].append(style)
        found["logits"].append(chances.clamp_min(1e-12).log())
    return {name: torch.cat(values).contiguous() for name, values in found.items()}
