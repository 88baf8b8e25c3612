"""Any language model of transformers, one text after the other: what cannot be paged. It knows texts as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from vlbm.engine.passes import ALONE, BESIDE, likeliest
from vlbm.engine.reader import Memories, Part, Seen


@dataclass(eq=False, slots=True)
class EagerText:
    """A text: all tokens that were read, transformers' cache of them, and its pictures."""

    tokens: list[int]
    cache: Any
    memories: Memories | None
    most: int


class EagerReader:
    """Reads texts.

    Args:
        model: a `VLBMForConditionalGeneration`.
        tokens: of all texts together, at most.
    """

    guesses, own_threads = False, False
    beside, alone = BESIDE, ALONE

    def __init__(self, model: Any, tokens: int) -> None:
        self.model, self.capacity, self._taken = model, tokens, 0

    def room(self, tokens: int) -> bool:
        """Whether it can be read now."""
        return self._taken + tokens <= self.capacity

    def begin(self, ids: Sequence[int], most: int, memories: Memories | None) -> EagerText:
        """Make room for a text; nothing of it is known."""
        from transformers import DynamicCache

        self._taken += most
        return EagerText([], DynamicCache(config=self.model.language_model.config), memories, most)

    @torch.inference_mode()
    def read(self, parts: Sequence[Part[EagerText]]) -> list[Seen]:
        """Read on in each text."""
        return [self._read(part) for part in parts]

    def forget(self, text: EagerText, tokens: int) -> None:
        """Take back the last tokens."""
        del text.tokens[len(text.tokens) - tokens :]
        text.cache.crop(len(text.tokens))

    def end(self, text: EagerText, *, keep: bool = True) -> None:
        """Nothing is kept."""
        self._taken -= text.most

    def _read(self, part: Part[EagerText]) -> Seen:
        text, memories = part.text, part.text.memories
        out = self.model(
            input_ids=torch.tensor([part.tokens], device=self.model.device),
            memories=memories.layers if memories else None,
            fusion_from=torch.tensor([memories.start]) if memories else None,
            past_key_values=text.cache,
            use_cache=True,
            logits_to_keep=max(1, part.wanted),
        )
        text.tokens += part.tokens
        many = len(part.tokens) - part.wanted
        weights = [0.0] * part.wanted if out.image_weight is None else out.image_weight[0, many:].tolist()
        logits = out.logits[0, len(out.logits[0]) - part.wanted :].float()
        return Seen(logits, likeliest(logits).tolist(), weights)
