"""Teaching the region finder and the colours, from composed scenes whose contents are known; and cutting regions out.

It knows scenes and the encoder, not language.

Shapes: x scenes or pictures, n cells, d_v encoder width, r regions of all pictures, s width of the style, c classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, dropout, smooth_l1_loss

from vlbm.data.colours import COLOURS
from vlbm.data.scenes import Scene
from vlbm.evidence.paint import PAINT
from vlbm.evidence.regions import RegionFinder, overlap
from vlbm.evidence.things import Sighted
from vlbm.evidence.trust import evened
from vlbm.recipes.descent import descend
from vlbm.recipes.renderings import Draw, Progress, device_of, in_shards, squares

STEPS, BATCH, RATE = 900, 64, 2e-3
# A found box is a thing's if it shares so much of their union.
SAME = 0.5
COLOUR_STEPS = 1600
# The few numbers of the paint are this much larger than the thousands of the style, or they would be learnt too slowly.
# A colour that regions seldom have is not to weigh without bounds.
PAINT_SCALE, LEAST_SPREAD = 5, 0.02


def fit_finder(finder: RegionFinder, grid: torch.Tensor, scenes: Sequence[Scene], tell: Progress) -> None:
    """Train the finder, with the focal loss of Lin et al. 2017 for the score.

    Args:
        finder: to be trained.
        grid: of each scene [x,n,d_v].
        scenes: what is in them.
        tell: is told steps done and in all.
    """
    side, device = finder.side, device_of(finder)
    wanted = torch.stack([_wanted(scene, side) for scene in scenes])  # [x,5,side,side]
    torch.manual_seed(0)
    finder.reset_parameters()
    finder.requires_grad_(True)
    generator = torch.Generator().manual_seed(0)

    def loss() -> torch.Tensor:
        drawn = torch.randint(len(grid), (BATCH,), generator=generator)
        cells, target = grid[drawn].to(device).float(), wanted[drawn].to(device)
        if torch.rand(1, generator=generator) < 0.5:
            cells = cells.view(BATCH, side, side, -1).flip(2).flatten(1, 2)
            target = target.flip(3).clone()
            target[:, 1] *= -1
        return _finder_loss(finder(dropout(cells, 0.1)), target.flatten(2))

    descend(finder.parameters(), loss, steps=STEPS, rate=RATE, decay=0.05, tell=tell)
    finder.requires_grad_(False)


def _wanted(scene: Scene, side: int) -> torch.Tensor:
    """What the head should tell of a scene: see `RegionFinder.forward`."""
    wanted = torch.zeros(5, side, side)
    for thing in scene.placed:
        left, top, right, bottom = thing.box
        across, down = (middle * side for middle in thing.middle)
        column, row = min(side - 1, int(across)), min(side - 1, int(down))
        sizes = [math.log((right - left) * side), math.log((bottom - top) * side)]
        wanted[:, row, column] = torch.tensor([1.0, across - column - 0.5, down - row - 0.5, *sizes])
    return wanted


def _finder_loss(told: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    there, score = wanted[:, 0], told[:, 0]
    many = there.sum().clamp_min(1)
    doubt = torch.where(there > 0, 1 - score.sigmoid(), score.sigmoid())
    focal = binary_cross_entropy_with_logits(score, there, reduction="none") * doubt**1.5
    places = smooth_l1_loss(told[:, 1:], wanted[:, 1:], reduction="none", beta=0.3).sum(dim=1) * there
    return (focal.sum() + places.sum()) / many


@dataclass(frozen=True, slots=True)
class Cuts:
    """The regions of encoded pictures, one picture's after the other.

    Attributes:
        first: where each picture's regions begin, and their number in all [x+1].
        boxes, scores, style, logits, paint: of each region [r,...], the last three in half precision.
    """

    first: torch.Tensor
    boxes: torch.Tensor
    scores: torch.Tensor
    style: torch.Tensor
    logits: torch.Tensor
    paint: torch.Tensor

    def many(self, number: int) -> int:
        """How many regions a picture has."""
        return int(self.first[number + 1] - self.first[number])

    def of(self, number: int) -> Sighted:
        """The regions of a picture."""
        rows = slice(int(self.first[number]), int(self.first[number + 1]))
        wide = (value[rows].float() for value in (self.style, self.logits, self.paint))
        return Sighted(self.boxes[rows], self.scores[rows], *wide)


@torch.inference_mode()
def cuts(
    model: Any,
    processor: Any,
    draw: Draw,
    grid: torch.Tensor,
    folder: Path,
    *,
    key: str,
    workers: int,
    tell: Progress,
) -> Cuts:
    """Cut the regions out of pictures and encode them, or read what an earlier run has encoded.

    Args:
        model, processor: of which the encoder, the finder and the picture processor matter.
        draw: makes a picture of its number.
        grid: of each picture [x,n,d_v].
        folder: of the shards.
        key: says what is drawn and what finds the regions; other keys have other shards.
        workers: processes that draw.
        tell: is told pictures done and in all.
    """
    images = processor.image_processor

    def encode(numbers: Sequence[int], views: Iterator[torch.Tensor]) -> dict[str, torch.Tensor]:
        return _cut(model, images, grid[list(numbers)], views)

    drawn = partial(squares, images, draw, workers)
    joined = in_shards(folder, f"painted cuts {key}", len(grid), drawn, encode, tell)
    counts = joined.pop("counts")
    return Cuts(first=torch.cat([counts.new_zeros(1), counts.cumsum(0)]), **joined)


def _cut(model: Any, images: Any, grid: torch.Tensor, squares: Iterator[torch.Tensor]) -> dict[str, torch.Tensor]:
    sighted, device = list[Sighted](), device_of(model.encoder)
    for views in squares:
        cells = grid[len(sighted) : len(sighted) + len(views)]
        sighted += model.regions(images.normalise(views.to(device)), cells.to(device).float())
    return {
        "counts": torch.tensor([len(one.scores) for one in sighted]),
        "boxes": torch.cat([one.boxes for one in sighted]).cpu(),
        "scores": torch.cat([one.scores for one in sighted]).cpu(),
        "style": torch.cat([one.style for one in sighted]).half().cpu(),
        "logits": torch.cat([one.logits.log_softmax(dim=-1) for one in sighted]).half().cpu(),
        "paint": torch.cat([one.paint for one in sighted]).half().cpu(),
    }


def matched(found: Cuts, scenes: Sequence[Scene]) -> list[tuple[int, int, int]]:
    """Which region is which thing: region, scene, and the thing's place in the scene."""
    pairs = list[tuple[int, int, int]]()
    for number, scene in enumerate(scenes):
        rows = range(int(found.first[number]), int(found.first[number + 1]))
        if rows:
            shared = overlap(found.boxes[list(rows)], torch.tensor([thing.box for thing in scene.placed]))
            best, place = shared.max(dim=1)
            pairs += [(row, number, int(place[n])) for n, row in enumerate(rows) if best[n] >= SAME]
    return pairs


def fit_colours(
    style: torch.Tensor,
    paint: torch.Tensor,
    colours: Sequence[str],
    *,
    mean: torch.Tensor,
    scale: torch.Tensor,
    tell: Progress,
) -> dict[str, torch.Tensor]:
    """A linear classifier of regions' colours: its weight [colours,s+PAINT] and bias [colours].

    Args:
        style: of regions [r,s].
        paint: of regions [r,PAINT].
        colours: of each, words of `COLOURS`.
        mean, scale: of each channel of the style.
        tell: is told steps done and in all.
    """
    usual, spread = paint.float().mean(dim=0), (paint.float().std(dim=0, correction=0) + LEAST_SPREAD) / PAINT_SCALE
    inputs = torch.cat([evened(style.float(), mean, scale), (paint.float() - usual) / spread], dim=1)
    labels = torch.tensor([COLOURS.index(colour) for colour in colours])
    torch.manual_seed(0)
    layer = torch.nn.Linear(inputs.shape[1], len(COLOURS))

    def loss() -> torch.Tensor:
        drawn = torch.randint(len(inputs), (256,))
        return cross_entropy(layer(dropout(inputs[drawn], 0.3)), labels[drawn])

    descend(layer.parameters(), loss, steps=COLOUR_STEPS, rate=1e-3, decay=0.3, tell=tell)
    weight, bias = layer.weight.detach(), layer.bias.detach()
    weight[:, -PAINT:] /= spread  # of paint as it is
    return {"weight": weight, "bias": bias - weight[:, -PAINT:] @ usual}
