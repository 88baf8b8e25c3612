"""Renderings of stamps, encoded once: features, class logits, and which stamp each shows.

Kept in one safetensors file, so that a second training starts at once. Knows pictures and the encoder, not language.

Shapes: r renderings, n cells, d_v encoder width, c classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vlbm.data.compose import nothing, plain, read_cutout, varied
from vlbm.data.stamps import Stamp

NOTHING = -1
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Renderings:
    """Encoded pictures.

    Attributes:
        grid: [r,n,d_v] half precision.
        pooled: averaged over cells and views [r,d_v].
        logits: log of the class probabilities averaged over views [r,c].
        stamp: index of the stamp, or NOTHING [r].
    """

    grid: torch.Tensor
    pooled: torch.Tensor
    logits: torch.Tensor
    stamp: torch.Tensor


@torch.inference_mode()
def encode(model: Any, processor: Any, picture: Image.Image) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One picture -> grid [n,d_v], pooled [d_v], log class probabilities [c]."""
    seen = model.encode(processor.image_processor.pixels(picture)[None])
    return seen.grid[0], seen.pooled[0], seen.logits[0]


def plain_features(model: Any, processor: Any, stamps: list[Stamp]) -> torch.Tensor:
    """Pooled features of each stamp on white, as the visual memory keeps them [N,d_v]."""
    return torch.stack([encode(model, processor, plain(read_cutout(stamp.path)))[1] for stamp in stamps])


def render(
    model: Any, processor: Any, stamps: list[Stamp], *, each: int, empty: int, seed: int, tell: Progress
) -> Renderings:
    """Compose and encode `each` renderings of every stamp and `empty` pictures of nothing."""
    rng = np.random.default_rng(seed)
    cutouts = [read_cutout(stamp.path) for stamp in stamps]
    grids, pooled, logits, owners = [], [], [], []
    total = len(stamps) * each + empty
    for number in range(total):
        owner = number // each if number < len(stamps) * each else NOTHING
        picture = varied(cutouts[owner], cutouts, rng) if owner != NOTHING else nothing(rng)
        found = encode(model, processor, picture)
        grids.append(found[0].half())
        pooled.append(found[1])
        logits.append(found[2])
        owners.append(owner)
        tell(number + 1, total)
    return Renderings(torch.stack(grids), torch.stack(pooled), torch.stack(logits), torch.tensor(owners))


def cached_render(
    model: Any, processor: Any, stamps: list[Stamp], folder: Path, *, each: int, empty: int, seed: int, tell: Progress
) -> Renderings:
    """As `render`, from an earlier run's file where there is one for the same stamps and numbers."""
    from safetensors.torch import load_file, save_file

    named = "|".join(f"{stamp.path.name}:{stamp.phrase}" for stamp in stamps)
    key = hashlib.sha256(f"{named}|{each}|{empty}|{seed}".encode()).hexdigest()[:12]
    path = folder / f"renderings-{key}.safetensors"
    if path.is_file():
        return Renderings(**load_file(path))
    made = render(model, processor, stamps, each=each, empty=empty, seed=seed, tell=tell)
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({name: getattr(made, name).contiguous() for name in Renderings.__dataclass_fields__}, part)
    part.rename(path)
    return made
