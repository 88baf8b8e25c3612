"""Contrastive accuracy, as CoMMuTE measures it (Futeral et al. 2023): does the picture make the right text likelier?

For a question with a picture and two answers, of which one fits the picture, the model is right if it finds that one
likelier. One that does not look is right half the time. It knows models and encoded examples, not their sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vlbm.training.encoded import IGNORED, Encoded, collate


@torch.inference_mode()
def log_likelihoods(model: Any, rows: Sequence[Encoded], *, batch: int = 32) -> torch.Tensor:
    """Sum of the log-probabilities of each row's target tokens [rows]."""
    found = []
    for start in range(0, len(rows), batch):
        inputs = collate(rows[start : start + batch], device=model.device)
        labels = inputs.pop("labels")[:, 1:]
        logits = model(**inputs).logits[:, :-1].float().log_softmax(dim=-1)
        chosen = logits.gather(2, labels.clamp_min(0).unsqueeze(2)).squeeze(2)
        found.append(chosen.masked_fill(labels == IGNORED, 0.0).sum(dim=1))
    return torch.cat(found)


def preferred(model: Any, right: Sequence[Encoded], wrong: Sequence[Encoded]) -> list[float]:
    """For each pair 1 where the right answer is likelier, 0 where the wrong one is, a half where they are level."""
    if len(right) != len(wrong):
        raise ValueError(f"{len(right)} right answers and {len(wrong)} wrong ones are no pairs")
    apart = log_likelihoods(model, right) - log_likelihoods(model, wrong)
    return [0.5 if value == 0 else float(value > 0) for value in apart.tolist()]
