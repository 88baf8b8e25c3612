"""Prompts of training, read once by the frozen language model.

The fusion acts only from the answer on, so everything before it is the same for every sample with the same prompt: its
keys and values are computed once and shared by a whole batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlbm.engine.request import Message
from vlbm.engine.text import render
from vlbm.training.phrases import OTHER_QUESTIONS, QUESTIONS, SYSTEM_PROMPTS, Kind

OTHER_TOKENS = 20


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation up to an answer.

    Attributes:
        messages: the conversation.
        kind: the kind of its question, or None where it is not about the picture.
        answer: the bare model's own answer where kind is None.
    """

    messages: tuple[Message, ...]
    kind: Kind | None
    answer: list[int] | None = None


def picture_prompts(rng: np.random.Generator) -> list[Prompt]:
    """Every question about a picture, each once alone and once after small talk or with a system prompt."""
    prompts = []
    for kind, questions in QUESTIONS.items():
        for question in questions:
            for variant in range(2):
                system = SYSTEM_PROMPTS[int(rng.integers(len(SYSTEM_PROMPTS)))]
                start = [Message("system", system)] if system else []
                if variant and rng.random() < 0.5:
                    start += [Message("user", "Hello!"), Message("assistant", "Hello! How can I help you today?")]
                prompts.append(Prompt((*start, Message("user", question)), kind))
    return prompts


def other_prompts(model: Any, processor: Any, path: Path, tell: Callable[[int, int], None]) -> list[Prompt]:
    """Questions that have nothing to do with the picture, with the untouched model's own answers (kept in `path`)."""
    talks = []
    before = (Message("user", "What is in this picture?"), Message("assistant", "The picture shows a cat."))
    for number, question in enumerate(OTHER_QUESTIONS):
        system = SYSTEM_PROMPTS[number % len(SYSTEM_PROMPTS)]
        start = (Message("system", system),) if system else ()
        talks.append((*start, Message("user", question)))
        if number % 2 == 0:
            talks.append((*start, *before, Message("user", question)))
    if path.is_file():
        answers = json.loads(path.read_text(encoding="utf-8"))
    else:
        answers = []
        for number, talk in enumerate(talks):
            answers.append(bare_answer(model, render(processor, talk)))
            tell(number + 1, len(talks))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(answers), encoding="utf-8")
    return [Prompt(talk, None, answer) for talk, answer in zip(talks, answers, strict=True)]


@torch.inference_mode()
def bare_answer(model: Any, ids: list[int]) -> list[int]:
    """The untouched language model's greedy answer, at most OTHER_TOKENS tokens."""
    prompt = torch.tensor([ids])
    out = model.language_model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=OTHER_TOKENS,
        do_sample=False,
        pad_token_id=2,
    )
    answer: list[int] = out[0, len(ids) :].tolist()
    return answer


class PromptCache:
    """Keys and values of prompts up to the answer's header, and the header itself."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model, processor
        self._kept: dict[tuple[Message, ...], tuple[list[Any], list[int]]] = {}

    @torch.no_grad()
    def read(self, prompt: Prompt, batch: int) -> tuple[Any, list[int]]:
        """A fresh cache for `batch` answers, and the token ids of the answer's header."""
        from transformers import DynamicCache

        config = self.model.language_model.config
        if prompt.messages not in self._kept:
            ids = render(self.processor, prompt.messages)
            start = self.processor.fusion_start(ids)
            cache: Any = DynamicCache(config=config)
            self.model.language_model(input_ids=torch.tensor([ids[:start]]), past_key_values=cache, logits_to_keep=1)
            kept: list[Any] = [(layer.keys, layer.values) for layer in cache.layers]
            self._kept[prompt.messages] = (kept, ids[start:])
        kept, header = self._kept[prompt.messages]
        cache = DynamicCache(config=config)
        for index, (keys, values) in enumerate(kept):
            shape = (batch, -1, -1, -1)
            cache.update(keys.expand(shape), values.expand(shape), index)
        return cache, header
