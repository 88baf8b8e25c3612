"""Greedy answers to many questions: batches of prompts, padded at their start so that answers begin at one place.

Prompts are those of training (`vlbm.training.encoded`), and what `collate` makes of pictures passes through to the
model unseen. It knows encoded examples, not what is measured on them.

Shapes: b batch, t text tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from vlbm.training.encoded import Encoded, collate

Tell = Callable[[int, int], None]


def prompts(rows: Sequence[Encoded], *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The questions of encoded examples as keyword arguments of `generate`: as `collate` makes them, padding first."""
    batch = collate([replace(row, target=()) for row in rows], device=device)
    del batch["labels"]
    mask = batch["attention_mask"]
    t, lengths = mask.shape[1], mask.sum(dim=1)
    places = (torch.arange(t, device=mask.device) + lengths[:, None]) % t  # [b,t]: each row moved to its end
    for key in ("input_ids", "attention_mask"):
        batch[key] = batch[key].gather(1, places)
    if "fusion_from" in batch:
        batch["fusion_from"] = batch["fusion_from"] + t - lengths
    return batch


def greedy(tokenizer: Any, max_tokens: int) -> Any:
    """How answers are made: the likeliest token each time, until the end of the answer or `max_tokens`."""
    from transformers import GenerationConfig

    end = tokenizer.eos_token_id
    pad = end if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max_tokens, do_sample=False, eos_token_id=end, pad_token_id=pad
    )


def answer(
    model: Any, tokenizer: Any, rows: Sequence[Encoded], *, max_tokens: int, batch: int, tell: Tell
) -> list[str]:
    """The greedy answer to each question, the same as if it were asked alone.

    Equal questions about the same pictures (or none) are asked once.

    Args:
        model, tokenizer: whose answers.
        rows: the questions; their targets are not looked at.
        max_tokens: of an answer.
        batch: questions at a time.
        tell: is told questions done and in all.
    """
    keys = [(row.prompt, row.fusion_from, *map(id, row.visuals)) for row in rows]
    different = list(dict(zip(keys, rows, strict=True)).items())
    config, said = greedy(tokenizer, max_tokens), dict[Any, str]()
    for start in range(0, len(different), batch):
        asked = different[start : start + batch]
        inputs = prompts([row for _, row in asked], device=model.device)
        made = model.generate(**inputs, generation_config=config)[:, inputs["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(made, skip_special_tokens=True)
        said |= {key: text.strip() for (key, _), text in zip(asked, texts, strict=True)}
        tell(min(start + batch, len(different)), len(different))
    return [said[key] for key in keys]
