"""The first step: cells of the grid are projected to where the words for what they show lie.

A linear map from the encoder's cells to the language model's input embeddings is trained on composed scenes, whose
contents are known: a cell within a thing's box shall be closest to the thing's name among all names. A fusion that
starts from there finds "cat" in the grid with the word "cat"; from a random map it did not take off.

Shapes: x examples, d_v encoder width, d model width, w names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from vlbm.data.scenes import Scene
from vlbm.fusion import unit
from vlbm.recipes.descent import descend

STEPS, BATCH, RATE, SHARPNESS = 1200, 512, 2e-3, 12.0


def align(
    model: Any,
    tokenizer: Any,
    grid: torch.Tensor,
    scenes: Sequence[Scene],
    names: Sequence[str],
    tell: Callable[[int, int], None],
) -> float:
    """Train `model.memory.project`; returns the share of cells whose name is found in the last tenth.

    Args:
        model, tokenizer: to be aligned.
        grid: of each scene [x,n,d_v].
        scenes: what is in them.
        names: all things that there are.
        tell: is told steps done and in all.
    """
    cells, labels = _cells(grid, scenes, {name: number for number, name in enumerate(names)})
    embeddings, mean = model.get_input_embeddings().weight, model.embedding_mean
    last = [tokenizer(f" {name}", add_special_tokens=False)["input_ids"][-1] for name in names]
    words = unit(embeddings[torch.tensor(last)].float() - mean)  # [w,d]
    project = model.memory.project
    generator = torch.Generator().manual_seed(0)
    right = list[float]()

    def loss() -> torch.Tensor:
        drawn = torch.randint(len(cells), (BATCH,), generator=generator)
        shown = unit(project(unit(cells[drawn].float())))
        scores = SHARPNESS * shown @ words.T / shown.shape[1]
        right.append(float((scores.argmax(dim=1) == labels[drawn]).float().mean()))
        return cross_entropy(scores, labels[drawn])

    descend(project.parameters(), loss, steps=STEPS, rate=RATE, decay=1e-2, tell=tell)
    tail = right[-STEPS // 10 :]
    return sum(tail) / len(tail)


def _cells(grid: torch.Tensor, scenes: Sequence[Scene], number: dict[str, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells whose middle lies well within a thing's box [x,d_v], and the thing's number [x]."""
    side = math.isqrt(grid.shape[1])
    chosen, labels = list[tuple[int, int]](), list[int]()
    for row, scene in enumerate(scenes):
        for thing in scene.placed:
            left, top, right, bottom = thing.box
            inset_across, inset_down = 0.15 * (right - left), 0.15 * (bottom - top)
            for cell in range(side * side):
                down, across = ((place + 0.5) / side for place in divmod(cell, side))
                inside = left + inset_across < across < right - inset_across
                if inside and top + inset_down < down < bottom - inset_down and thing.name in number:
                    chosen.append((row, cell))
                    labels.append(number[thing.name])
    places = torch.tensor(chosen)
    return grid[places[:, 0], places[:, 1]], torch.tensor(labels)
