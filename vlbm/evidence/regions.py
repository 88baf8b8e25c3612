"""Where things are: boxes found in an encoder's grid, and pictures cut out of a picture by them.

A small head over the grid says of each cell whether the middle of a thing lies in it, and where that thing's sides are:
in the manner of CenterNet (Zhou et al. 2019), without classes. It knows places, not names.

Shapes: b batch, n grid cells (a square of them), d_v encoder width, r regions, x boxes of all pictures.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import affine_grid, gelu, grid_sample, normalize

WIDTH = 96
# A region is a thing from this score on; of two that overlap more than so much (of their union), one is kept.
LEAST, OVERLAP = 0.4, 0.35
# So many more boxes than are wanted are looked at, since some are the same thing's.
SPARE = 10
# A cut has so much more than the box, a side.
MARGIN = 1.1


class Regions(NamedTuple):
    """Boxes (left, top, right, bottom, as shares of the picture's sides) [b,r,4] and scores [b,r], 0 for none."""

    boxes: torch.Tensor
    scores: torch.Tensor


class RegionFinder(nn.Module):
    """The head: a projection of each cell, and two convolutions over the grid.

    Args:
        width: d_v, of a cell.
        cells: n.
    """

    def __init__(self, width: int, cells: int) -> None:
        super().__init__()
        self.side = math.isqrt(cells)
        self.project = nn.Linear(width, WIDTH)
        self.near = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))
        self.out = nn.Conv2d(WIDTH, 5, 1)
        self.requires_grad_(False)  # trained by a recipe, before the fusion is

    def reset_parameters(self) -> None:
        """Random weights, for a finder that is to be trained."""
        for layer in (self.project, *self.near, self.out):
            layer.reset_parameters()

    def forward(self, grid: torch.Tensor) -> torch.Tensor:
        """grid [b,n,d_v] -> score as a logit, the middle's offset and the log of width and height, in cells [b,5,n]."""
        cells = normalize(grid, dim=-1) * grid.shape[-1] ** 0.5
        found = gelu(self.project(cells)).transpose(1, 2)
        found = found.reshape(len(found), WIDTH, self.side, self.side)
        for layer in self.near:
            found = found + gelu(layer(found))
        told: torch.Tensor = self.out(found).flatten(2)
        return told

    def find(self, grid: torch.Tensor, most: int) -> Regions:
        """The likeliest regions of each picture [b,n,d_v], at most so many."""
        told = self(grid).float()
        scores, boxes = told[:, 0].sigmoid(), self._boxes(told)
        scores = torch.where(scores >= LEAST, scores, 0.0)
        best, place = scores.topk(min(most + SPARE, scores.shape[1]), dim=1)
        boxes = boxes.gather(1, place[..., None].expand(-1, -1, 4))
        best, order = torch.where(_apart(boxes), best, 0.0).topk(min(most, best.shape[1]), dim=1)
        return Regions(boxes.gather(1, order[..., None].expand(-1, -1, 4)), best)

    def _boxes(self, told: torch.Tensor) -> torch.Tensor:
        """What the head tells [b,5,n] -> boxes [b,n,4] within the picture."""
        cell = torch.arange(self.side, device=told.device)
        across = (told[:, 1] + cell.repeat(self.side) + 0.5) / self.side
        down = (told[:, 2] + cell.repeat_interleave(self.side) + 0.5) / self.side
        wide, high = (told[:, row].clamp(-3, math.log(self.side)).exp() / self.side / 2 for row in (3, 4))
        return torch.stack([across - wide, down - high, across + wide, down + high], dim=2).clamp(0, 1)


def overlap(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """What boxes share of their union: [...,x,4], [...,y,4] -> [...,x,y]."""
    mine, theirs = one[..., :, None, :], other[..., None, :, :]
    corners = torch.minimum(mine[..., 2:], theirs[..., 2:]) - torch.maximum(mine[..., :2], theirs[..., :2])
    shared = corners.clamp_min(0).prod(dim=-1)
    areas = (mine[..., 2:] - mine[..., :2]).prod(dim=-1) + (theirs[..., 2:] - theirs[..., :2]).prod(dim=-1)
    return shared / (areas - shared).clamp_min(1e-6)


def _apart(boxes: torch.Tensor) -> torch.Tensor:
    """Which boxes [b,r,4], best first, do not overlap with a better one that is kept [b,r] (greedy suppression)."""
    close = overlap(boxes, boxes) > OVERLAP
    kept = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    for place in range(1, boxes.shape[1]):
        kept[:, place] = ~(close[:, place, :place] & kept[:, :place]).any(dim=1)
    return kept


def cut(pixels: torch.Tensor, boxes: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Squares around boxes, at the size of the whole picture.

    Args:
        pixels: pictures [b,3,h,h].
        boxes: to be cut out [x,4].
        pictures: number of each box's picture [x].

    Returns:
        [x,3,h,h]; beyond a picture's edge its last pixels are repeated.
    """
    if not len(boxes):
        return pixels[:0]
    left, top, right, bottom = boxes.unbind(1)
    side = torch.maximum(right - left, bottom - top) * MARGIN
    none = torch.zeros_like(side)
    rows = ([side, none, left + right - 1], [none, side, top + bottom - 1])
    where = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)  # [x,2,3]
    size = [len(boxes), *pixels.shape[1:]]
    return grid_sample(
        pixels[pictures], affine_grid(where, size, align_corners=False), padding_mode="border", align_corners=False
    )
