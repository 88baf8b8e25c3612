"""Text-only drift: is the model without a picture still the language model inside it, bit for bit and word for word?

A fusion that acts only where there is a picture has none: 0.0 and 100 %. What is compared with is the language model
that the model carries; one that was itself trained is compared with itself as trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vlbm.data.records import Example
from vlbm.evaluation.answers import Tell, greedy, prompts
from vlbm.language import context_tokens
from vlbm.training.encoded import encode

FIXED = (
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "Name three fruits.",
    "Explain in one sentence why the sky is blue.",
    "Translate into German: Good morning.",
)
MOST = 64  # of the data's own questions


@dataclass(frozen=True, slots=True)
class Drift:
    """What was found.

    Attributes:
        prompts: questions without a picture: the fixed ones and the data's own.
        largest: the largest difference of any logit.
        same: prompts whose greedy answer is the same, token for token.
    """

    prompts: int
    largest: float
    same: int


@torch.inference_mode()
def drift(model: Any, processor: Any, examples: Sequence[Example], *, max_tokens: int, batch: int, tell: Tell) -> Drift:
    """Ask without pictures, once with and once without what was built around the language model."""
    asked = [Example((), "-", task="chat", text=text) for text in FIXED]
    own = dict.fromkeys((e.task, e.text, e.language) for e in examples)
    asked += [Example((), "-", task=task, text=text, language=language) for task, text, language in list(own)[:MOST]]
    context = context_tokens(model.config.text_config)
    rows = [encode(processor, example, (), context=context) for example in asked]
    rows = [row for row in rows if len(row.prompt) + max_tokens <= context]
    config, largest, same = greedy(processor.tokenizer, max_tokens), 0.0, 0
    for start in range(0, len(rows), batch):
        inputs = prompts(rows[start : start + batch], device=model.device)
        plain = {key: inputs[key] for key in ("input_ids", "attention_mask")}
        apart = (model(**inputs).logits - model.language_model(**plain).logits).abs()
        largest = max(largest, float(apart.masked_fill(plain["attention_mask"][..., None] == 0, 0.0).max()))
        mine = model.generate(**inputs, generation_config=config)
        bare = model.language_model.generate(**plain, generation_config=config)
        same += sum(torch.equal(one, other) for one, other in _of_one_length(mine, bare, config.pad_token_id))
        tell(min(start + batch, len(rows)), len(rows))
    return Drift(len(rows), largest, same)


def _of_one_length(first: torch.Tensor, second: torch.Tensor, pad: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Rows of both, padded to the longer."""
    t = max(first.shape[1], second.shape[1])
    wide = [torch.nn.functional.pad(ids, (0, t - ids.shape[1]), value=pad) for ids in (first, second)]
    return list(zip(*wide, strict=True))
