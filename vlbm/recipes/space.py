"""The space in which the visual memory compares pictures, and how its neighbours vote.

Two drawings of one thing, by two makers or on two grounds, shall lie closer than two things drawn alike: a linear map
is trained to tell, among many, which second drawing shows the same (contrastive, as in CLIP, Radford et al. 2021; the
two views are of different makers rather than of picture and text). The vote's two numbers are then fitted to the
likelihood of the right caption, each picture being looked up without itself.

Shapes: r renderings, s width of the style, m width of the space, k neighbours that vote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout, normalize

from vlbm.recipes.descent import descend

WIDTH = 256
STEPS, RATE, TEMPERATURE, PAIRS, DROPPED = 1500, 1e-3, 0.07, 256, 0.2
VOTE_STEPS = 200


@dataclass(frozen=True, slots=True)
class Space:
    """mean and scale of each channel [s], the map [m,s], and the vote [2] (see `vlbm.evidence.neighbours`)."""

    mean: torch.Tensor
    scale: torch.Tensor
    matrix: torch.Tensor
    vote: torch.Tensor


def fit_space(
    style: torch.Tensor,
    thing: Sequence[str],
    concept: Sequence[str],
    remembered: Sequence[bool],
    owner: Sequence[int],
    stranger: Sequence[bool],
    asked: Sequence[bool],
    tell: Callable[[int, int], None],
) -> Space:
    """Fit space and vote to renderings.

    The vote is fitted in a space of its own that has not seen some hand, on that hand's pictures: in a space that was
    trained on them all pictures are found too surely.

    Args:
        style: of each rendering [r,s]; it is fitted where they lie.
        thing: what each shows: those with the same are pairs.
        concept: its kind: others of a pair's kind do not count as wrong.
        remembered: the memory has it.
        owner: the picture that each is a rendering of: it is not found by itself.
        stranger: by the hand that the blind space has not seen.
        asked: the vote is fitted on it.
        tell: is told steps done and in all.
    """
    mean, scale = style.mean(dim=0), 1 / (style.std(dim=0) + 1e-3)
    inputs = normalize((style - mean) * scale, dim=1)
    known = [n for n, strange in enumerate(stranger) if not strange]
    half = _contrast(
        inputs[known],
        [thing[n] for n in known],
        [concept[n] for n in known],
        lambda done, total: tell(done, 2 * total),
    )
    blind = normalize(inputs @ half.T, dim=1).cpu()
    vote = _vote(blind, thing, remembered, owner, [n for n, one in enumerate(asked) if one])
    matrix = _contrast(inputs, thing, concept, lambda done, total: tell(total + done, 2 * total))
    return Space(mean.cpu(), scale.cpu(), matrix.cpu(), vote)


def _contrast(
    inputs: torch.Tensor, thing: Sequence[str], concept: Sequence[str], tell: Callable[[int, int], None]
) -> torch.Tensor:
    rows: dict[str, list[int]] = {}
    for number, name in enumerate(thing):
        rows.setdefault(name, []).append(number)
    pairs = [found for found in rows.values() if len(found) > 1]
    kinds = {name: number for number, name in enumerate(dict.fromkeys(concept))}
    kind = torch.tensor([kinds[name] for name in concept], device=inputs.device)
    _, strength, axes = torch.linalg.svd(inputs[::3], full_matrices=False)
    whitened = axes[:WIDTH] * (strength[:WIDTH].mean() / strength[:WIDTH]).sqrt()[:, None]
    matrix = nn.Parameter(whitened.clone())
    rng = np.random.default_rng(0)
    torch.manual_seed(0)

    def loss() -> torch.Tensor:
        drawn = [rng.choice(pairs[n], 2, replace=False) for n in rng.choice(len(pairs), min(PAIRS, len(pairs)), False)]
        one, other = (torch.tensor([pair[side] for pair in drawn]) for side in (0, 1))
        left, right = (normalize(dropout(inputs[side], DROPPED) @ matrix.T, dim=1) for side in (one, other))
        alike = (kind[one][:, None] == kind[other][None]) & ~torch.eye(len(one), dtype=torch.bool, device=inputs.device)
        likeness = (left @ right.T / TEMPERATURE).masked_fill(alike, -1e4)
        wanted = torch.arange(len(one), device=inputs.device)
        return cross_entropy(likeness, wanted) + cross_entropy(likeness.T, wanted)

    descend([matrix], loss, steps=STEPS, rate=RATE, decay=1e-3, tell=tell)
    return matrix.detach()


def _vote(
    directions: torch.Tensor,
    thing: Sequence[str],
    remembered: Sequence[bool],
    owner: Sequence[int],
    asked: Sequence[int],
) -> torch.Tensor:
    """Sharpness and doubt that make the right captions of some renderings likeliest."""
    from vlbm.evidence.neighbours import DOUBT, SHARPNESS, VOTERS

    kept = torch.tensor(remembered).nonzero()[:, 0]
    if not asked:
        return torch.tensor([SHARPNESS, DOUBT])
    names = {name: number for number, name in enumerate(dict.fromkeys(thing))}
    named, owners = torch.tensor([names[name] for name in thing]), torch.tensor(owner)
    likeness = directions[list(asked)] @ directions[kept].T
    likeness = likeness.masked_fill(owners[list(asked)][:, None] == owners[kept][None], -1.0)
    best, place = likeness.topk(min(VOTERS, len(kept)), dim=1)
    right = named[kept][place] == named[list(asked)][:, None]  # [r,k]
    vote = nn.Parameter(torch.tensor([SHARPNESS, DOUBT]))
    optimiser = torch.optim.Adam([vote], lr=0.05)
    for _ in range(VOTE_STEPS):
        weight = (vote[0] * (best - vote[1])).exp()
        chance = (weight * right).sum(dim=1) / (1 + weight.sum(dim=1))
        none = 1 / (1 + weight.sum(dim=1))
        loss = -torch.where(right.any(dim=1), chance, none).clamp_min(1e-6).log().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return vote.detach()
