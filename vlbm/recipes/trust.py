"""How far the encoder's classes are to be believed: fitted on the renderings to train on.

Only pictures of things that some everyday name names are counted: a thing without one cannot be named right, and what
people send is mostly not so. It knows names and styles, not language models.

Shapes: r renderings, s width of the style.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from vlbm.evidence.trust import EDGE

# Weight of the penalty on the style's weights, chosen on concepts left out of the fit.
PENALTY = 0.3
ROUNDS = 60


def fit_trust(probability: torch.Tensor, even: torch.Tensor, right: Sequence[bool]) -> dict[str, torch.Tensor]:
    """The regression (see `vlbm.evidence.trust`).

    Args:
        probability: of the likeliest name of each rendering [r].
        even: their evened styles [r,s].
        right: whether that name is right.
    """
    truth = torch.tensor(right, dtype=torch.float32)
    likely = torch.logit(probability.clamp(EDGE, 1 - EDGE))
    slope, bias = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    weight = torch.zeros(even.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([slope, weight, bias], max_iter=ROUNDS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        drawn = (even @ weight + bias).clamp_max(0)
        found = binary_cross_entropy_with_logits(drawn + slope * likely, truth)
        found = found + PENALTY * weight.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    return {"slope": slope.detach(), "weight": weight.detach(), "bias": bias.detach()}
