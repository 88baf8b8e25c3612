"""Contrastive accuracy, as CoMMuTE measures it (Futeral et al. 2023): does the picture make the right text likelier?

For a question with a picture and two answers, of which one fits the picture, the model is right if that one has the
lower perplexity, so long answers are not at a disadvantage. One that does not look is right half the time. It knows
models and encoded examples, not their sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vlbm.evidence.asked import IGNORED
from vlbm.training.encoded import Encoded, collate


@torch.inference_mode()
def log_likelihoods(model: Any, rows: Sequence[Encoded], *, batch: int = 32) -> torch.Tensor:
    """Sum of the log-probabilities of each row's target tokens, on the CPU [rows]."""
    found = []
    for start in range(0, len(rows), batch):
        inputs = collate(rows[start : start + batch], device=model.device)
        labels = inputs.pop("labels")[:, 1:]
        kept = labels != IGNORED  # [b,t-1]: a large vocabulary's softmax is for the answers' tokens only
        logits = model(**inputs).logits[:, :-1][kept].float().log_softmax(dim=-1)
        chosen = logits.gather(1, labels[kept].unsqueeze(1)).squeeze(1)
        found.append(chosen.new_zeros(len(labels)).index_add(0, kept.nonzero()[:, 0], chosen))
    return torch.cat(found).cpu()


def per_token(model: Any, rows: Sequence[Encoded], *, batch: int = 32) -> torch.Tensor:
    """Mean log-probability of each row's target tokens, in nats [rows]: minus the logarithm of its perplexity."""
    return log_likelihoods(model, rows, batch=batch) / torch.tensor([len(row.target) for row in rows])


def preferred(model: Any, right: Sequence[Encoded], wrong: Sequence[Encoded]) -> list[float]:
    """For each pair 1 where the right answer is likelier, 0 where the wrong one is, a half where they are level."""
    if len(right) != len(wrong):
        raise ValueError(f"{len(right)} right answers and {len(wrong)} wrong ones are no pairs")
    apart = per_token(model, right) - per_token(model, wrong)
    return [0.5 if value == 0 else float(value > 0) for value in apart.tolist()]
