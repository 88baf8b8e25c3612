"""Examples as a model takes them: token ids and seen pictures, and batches of both.

It knows the processor and what was seen, not the optimiser.

Shapes: b batch, t text tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from vlbm.data.records import Example
from vlbm.errors import DataError
from vlbm.evidence.asked import IGNORED
from vlbm.perception import Visual, gather
from vlbm.tasks import messages
from vlbm.training.pixels import Pixels


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example.

    Attributes:
        prompt: token ids of the question, with the header of the answer.
        target: token ids of the answer, with its end.
        fusion_from: position in the prompt from which the fusion acts.
        visuals: what was seen of its pictures, each a batch of one; or their pixels, where the encoder learns.
    """

    prompt: tuple[int, ...]
    target: tuple[int, ...]
    fusion_from: int
    visuals: tuple[Visual | Pixels, ...] = ()


def encode(processor: Any, example: Example, visuals: Sequence[Visual | Pixels], *, context: int) -> Encoded:
    """Encode one example.

    Args:
        processor: the model's.
        example: what is asked and what should be said.
        visuals: what was seen of its pictures, or their pixels.
        context: tokens that the model holds.

    Raises:
        DataError: question and answer together are longer than the context.
    """
    text = processor.apply_chat_template(messages(example), tokenize=False, add_generation_prompt=True)
    prompt = processor.tokenizer(processor.pictured(text) if visuals else text, add_special_tokens=False)["input_ids"]
    target = processor.tokenizer(example.target, add_special_tokens=False)["input_ids"]
    target = [*target, processor.tokenizer.eos_token_id]
    if len(prompt) + len(target) > context:
        raise DataError(f"question and answer have {len(prompt)} and {len(target)} tokens, the model holds {context}")
    return Encoded(tuple(prompt), tuple(target), processor.fusion_start(prompt), tuple(visuals))


def collate(rows: Sequence[Encoded], *, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A batch as keyword arguments of the model: ids, mask and labels [b,t], padded at the end, and pictures."""
    t = max(len(row.prompt) + len(row.target) for row in rows)
    ids = torch.zeros(len(rows), t, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for number, row in enumerate(rows):
        start, end = len(row.prompt), len(row.prompt) + len(row.target)
        ids[number, :end] = torch.tensor(row.prompt + row.target)
        mask[number, :end] = 1
        labels[number, start:end] = torch.tensor(row.target)
    batch: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    if any(row.visuals for row in rows):
        batch.update(_pictures([row.visuals for row in rows]))
        batch["fusion_from"] = torch.tensor([row.fusion_from for row in rows])
        asked = [torch.tensor(row.prompt[row.fusion_from :], dtype=torch.long) for row in rows]
        batch["question"] = pad_sequence(asked, batch_first=True, padding_value=-1)
        batch["has_picture"] = torch.tensor([bool(row.visuals) for row in rows])
    return {key: value.to(device) for key, value in batch.items()}


def _pictures(rows: Sequence[tuple[Visual | Pixels, ...]]) -> dict[str, Any]:
    """What was seen, as one batch; or pixels [pictures,v,3,h,w], and how many pictures each row has [b]."""
    pixels = [picture.values() for row in rows for picture in row if isinstance(picture, Pixels)]
    if not pixels:
        return {"visual": gather([[visual for visual in row if isinstance(visual, Visual)] for row in rows])}
    return {"pixel_values": torch.stack(pixels), "pictures": torch.tensor([len(row) for row in rows])}
