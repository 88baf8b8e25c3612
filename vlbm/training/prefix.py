"""What many prompts begin with, read once by a frozen language model.

A system prompt or an earlier exchange is the same for all examples of a batch. While the language model is frozen and
the fusion acts after it, its keys and values never change: they are computed once and lent to every batch. It knows
transformers of the language model's kind, with a cache of keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

Tokens = tuple[int, ...]


class Prefixes:
    """Keys and values of beginnings.

    Args:
        model: whose language model is frozen.
        beginnings: token ids of each; an empty one is none.
    """

    def __init__(self, model: Any, beginnings: Sequence[Tokens]) -> None:
        self.model, self.beginnings = model, list(beginnings)
        self._kept: dict[Tokens, list[tuple[torch.Tensor, torch.Tensor]]] = {}

    @torch.no_grad()
    def before(self, number: int, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch as `collate` makes it, with a beginning before each of its rows.

        Args:
            number: of the beginning.
            batch: keyword arguments of the model; positions in it count from the end of the beginning.
        """
        from transformers import DynamicCache

        beginning = self.beginnings[number]
        if not beginning:
            return batch
        rows = len(batch["input_ids"])
        cache: Any = DynamicCache(config=self.model.language_model.config)
        for layer, (keys, values) in enumerate(self._read(beginning, batch["input_ids"].device)):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
        mask = batch["attention_mask"]
        added = {"past_key_values": cache, "attention_mask": torch.cat([mask.new_ones(rows, len(beginning)), mask], 1)}
        if "fusion_from" in batch:
            added["fusion_from"] = batch["fusion_from"] + len(beginning)
        return {**batch, **added}

    def _read(self, beginning: Tokens, device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
        from transformers import DynamicCache

        if beginning not in self._kept:
            cache: Any = DynamicCache(config=self.model.language_model.config)
            ids = torch.tensor([beginning], device=device)
            self.model.language_model(input_ids=ids, past_key_values=cache, logits_to_keep=1)
            self._kept[beginning] = [(layer.keys, layer.values) for layer in cache.layers]
        return self._kept[beginning]
