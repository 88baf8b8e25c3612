"""Which colours a region has, counted by pixel: an encoder of photos has only an impression of them.

It knows pixels and colour words (`vlbm.data.colours`), not things.

Shapes: r regions, h pixels a side.
"""

from __future__ import annotations

import torch
from PIL import Image
from torch.nn.functional import interpolate, one_hot

from vlbm.data.colours import COLOURS, colour_words

LOOK = 20
# Shares of half a region's side: mostly its thing is nearer to the middle, and what is around it further out.
MIDDLE, EDGE = 0.5, 0.8
PAINT = 3 * (len(COLOURS) + 1)


def paint_of(regions: torch.Tensor) -> torch.Tensor:
    """Shares of each colour word, and of none, in the middle of regions, around it and at their edge.

    Args:
        regions: cut-out squares [r,3,h,h], red, green and blue in [0, 1].

    Returns:
        [r,PAINT].
    """
    if not len(regions):
        return regions.new_zeros(0, PAINT)
    small = interpolate(regions.float(), size=(LOOK, LOOK), mode="area").clamp(0, 1)
    rows = (small * 255).byte().permute(0, 2, 3, 1).reshape(-1, LOOK, 3).cpu().numpy()
    words = torch.from_numpy(colour_words(Image.fromarray(rows))).view(len(regions), LOOK, LOOK)
    there = one_hot(words + 1, len(COLOURS) + 1).float()  # [r,LOOK,LOOK,words]
    shares = [there[:, ring].mean(dim=1) for ring in _rings()]
    return torch.cat(shares, dim=1).to(regions.device)


def _rings() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which pixels are in the middle, around it and at the edge, each [LOOK,LOOK] bool."""
    place = ((torch.arange(LOOK) + 0.5) / LOOK * 2 - 1).abs()
    middle = place[:, None].square() + place.square() < MIDDLE**2
    edge = torch.maximum(place[:, None], place) >= EDGE
    return middle, ~middle & ~edge, edge
