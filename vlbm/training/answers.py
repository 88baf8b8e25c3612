"""The loss of answers, with logits for answers alone.

A language model's head makes a logit for every word at every position, and in training most positions are questions and
padding whose logits nobody reads. Here the head sees only the positions that an answer's tokens are predicted from. It
knows heads and labels, not pictures.

Shapes: b batch, t text tokens, d model width, k positions that predict a token of an answer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from vlbm.evidence.asked import IGNORED


def answer_loss(model: Any, head: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Mean cross-entropy of the answers' tokens, over the whole vocabulary: what transformers' own loss is.

    Args:
        model: is called with the batch.
        head: the model's output embeddings.
        batch: keyword arguments of the model, `labels` [b,t] among them.
    """
    labels = batch["labels"]
    following = labels[:, 1:]
    predicts = following != IGNORED  # [b,t-1]

    def answers(_head: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (inputs[0][:, :-1][predicts].unsqueeze(0), *inputs[1:])  # [1,k,d]

    hook = head.register_forward_pre_hook(answers)
    try:
        logits = model(**{name: value for name, value in batch.items() if name != "labels"}, use_cache=False).logits
    finally:
        hook.remove()
    return cross_entropy(logits[0].float(), following[predicts])
