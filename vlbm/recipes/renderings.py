"""Pictures on varied grounds, encoded once and kept in shards, so that a stopped recipe goes on where it was.

Each rendering draws its randomness from its own number alone, so any process can draw it. It knows pictures and the
encoder, not language.

Shapes: r renderings, n cells, d_v encoder width, s width of the style, c classes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vlbm.data.compose import nothing, plain, read_cutout, varied
from vlbm.data.splits import TRAIN
from vlbm.recipes.pictures import Picture
from vlbm.training.workers import made

Progress = Callable[[int, int], None]
Draw = Callable[[int], Image.Image]
SHARD, BATCH = 512, 32
NOTHING = -1
# Renderings of each picture beside the plain one: many of few cut-outs, few of many emoji.
VARIED = {"stamps": 5, "foods": 4}
OTHERWISE = 1
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
            rows += [Rendering(number, plain=turn == 0) for turn in range(1 + VARIED.get(picture.maker, OTHERWISE))]
    return rows + [Rendering(NOTHING, plain=False)] * EMPTY


def drawer(pictures: Sequence[Picture], rows: Sequence[Rendering]) -> Draw:
    """What draws the rendering of a number."""
    shown = list(dict.fromkeys(row.picture for row in rows if row.picture != NOTHING))
    cutout = cache(lambda number: read_cutout(pictures[number].path))

    def draw(number: int) -> Image.Image:
        row, rng = rows[number], np.random.default_rng([SEED, number])
        if row.picture == NOTHING:
            return nothing(rng)
        if row.plain:
            return plain(cutout(row.picture))
        return varied(cutout(row.picture), lambda: cutout(shown[int(rng.integers(len(shown)))]), rng)

    return draw


def squares(images: Any, draw: Draw, workers: int, numbers: Sequence[int]) -> Iterator[torch.Tensor]:
    """Pictures as the encoder's squares, in bytes, BATCH at a time [b,3,h,h]; other processes may draw them."""
    return made(lambda number: images.square(draw(number))[0], numbers, workers, size=BATCH, join=torch.stack)


def encoded(
    model: Any,
    processor: Any,
    draw: Draw,
    count: int,
    folder: Path,
    *,
    key: str,
    mirrored: Sequence[bool],
    workers: int,
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
        workers: processes that draw.
        tell: is told pictures done and in all.
    """
    images = processor.image_processor

    def encode(numbers: Sequence[int], views: Iterator[torch.Tensor]) -> dict[str, torch.Tensor]:
        return _encode(model, images, views, [mirrored[number] for number in numbers])

    return Encoded(**in_shards(folder, key, count, partial(squares, images, draw, workers), encode, tell))


def in_shards(
    folder: Path,
    key: str,
    count: int,
    drawn: Callable[[Sequence[int]], Iterator[torch.Tensor]],
    encode: Callable[[Sequence[int], Iterator[torch.Tensor]], dict[str, torch.Tensor]],
    tell: Progress,
) -> dict[str, torch.Tensor]:
    """What is made of `count` pictures, shard after shard; shards that an earlier run has written are only read.

    Args:
        folder: of the shards.
        key: says what is drawn and how it is encoded; other keys have other shards.
        count: of pictures.
        drawn: the squares of pictures of these numbers, BATCH at a time.
        encode: makes a shard of some numbers and their squares.
        tell: is told pictures done and in all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(key.encode()).hexdigest()[:12]
    starts = range(0, count, SHARD)
    shards = {folder / f"{name}-{start:06}.safetensors": range(start, min(start + SHARD, count)) for start in starts}
    missing = [number for path, numbers in shards.items() if not path.is_file() for number in numbers]
    views = drawn(missing)
    for path, numbers in shards.items():
        if not path.is_file():
            part = path.with_suffix(".part")
            save_file(encode(numbers, islice(views, math.ceil(len(numbers) / BATCH))), part)
            part.rename(path)
        tell(numbers[-1] + 1, count)
    return _read(list(shards))


def _read(paths: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Shards joined, one after the other in place: together they may take half of the memory that there is."""
    shapes: dict[str, list[torch.Size]] = {}
    for path in paths:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (it is no mapping)
                shapes.setdefault(name, []).append(torch.Size(file.get_slice(name).get_shape()))
    joined = dict[str, torch.Tensor]()
    start = dict.fromkeys(shapes, 0)
    for path in paths:
        for name, value in load_file(path).items():
            if name not in joined:
                joined[name] = value.new_empty(sum(shape[0] for shape in shapes[name]), *value.shape[1:])
            joined[name][start[name] : start[name] + len(value)] = value
            start[name] += len(value)
    return joined


@torch.inference_mode()
def _encode(
    model: Any, images: Any, squares: Iterator[torch.Tensor], mirrored: Sequence[bool]
) -> dict[str, torch.Tensor]:
    found: dict[str, list[torch.Tensor]] = {"grid": [], "style": [], "logits": []}
    done, device = 0, device_of(model.encoder)
    for views in squares:
        twice = [place for place in range(len(views)) if mirrored[done + place]]
        pixels = torch.cat([views, views[twice].flip(-1)])
        seen = model.encoder(images.normalise(pixels.to(device)))
        first, second = len(views), torch.arange(len(views), len(pixels))
        chance = seen.logits.softmax(dim=-1)
        style = seen.style[:first].clone()
        style[twice] = (style[twice] + seen.style[second]) / 2
        chances = chance[:first].clone()
        chances[twice] = (chances[twice] + chance[second]) / 2
        found["grid"].append(seen.grid[:first].half().cpu())
        found["style"].append(style.cpu())
        found["logits"].append(chances.clamp_min(1e-12).log().cpu())
        done += first
    return {name: torch.cat(values).contiguous() for name, values in found.items()}


def device_of(module: torch.nn.Module) -> torch.device:
    """Where a module's parameters lie."""
    return next(module.parameters()).device
