"""One answer's state: what was read and said so far, and the logits for what comes next. It knows tokens, not text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

PREFILL_CHUNK = 256
PREFILL_THREADS = torch.get_num_threads()
DECODE_THREADS = max(1, PREFILL_THREADS - 1)
"""Reading a prompt is bound by arithmetic and takes every core. Decoding is bound by memory: a core fewer makes it no
slower, and leaves that core to whoever sends the tokens on."""


class Decoder:
    """One answer's state: the key-value cache and the logits for the next token [vocabulary]."""

    def __init__(self, model: Any, ids: list[int], fusion_from: int, memories: Any) -> None:
        from transformers import DynamicCache

        self.model, self.ids, self.memories = model, ids, memories
        self.fusion_from = torch.tensor([fusion_from])
        self.cache = DynamicCache(config=model.language_model.config)
        ends = model.language_model.generation_config.eos_token_id
        self.end_tokens = set(ends if isinstance(ends, list) else [ends])
        self.logits = torch.empty(0)
        self.image_weight: float | None = None

    def prefill(self) -> Iterator[int]:
        """Read the prompt in chunks, so that a cancel is heeded within one; yields how many tokens are read."""
        for start in range(0, len(self.ids), PREFILL_CHUNK):
            self._run(self.ids[start : start + PREFILL_CHUNK], PREFILL_THREADS)
            yield min(start + PREFILL_CHUNK, len(self.ids))

    def step(self, token: int) -> None:
        """Read one token of the answer."""
        self._run([token], DECODE_THREADS)

    def _run(self, tokens: list[int], threads: int) -> None:
        torch.set_num_threads(threads)
        # Entered for each call rather than once a turn: the mode is a thread's, and the caller runs between steps.
        with torch.inference_mode():
            out = self.model(
                input_ids=torch.tensor([tokens]),
                memories=self.memories,
                fusion_from=self.fusion_from,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self.logits = out.logits[0, -1]
        self.image_weight = None if out.image_weight is None else float(out.image_weight[0, -1])
