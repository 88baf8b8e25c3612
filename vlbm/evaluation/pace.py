"""How fast answers come: an engine's and its peers', in turn and in one run, since machines are not always as fast.

It knows clocks and counts; what is run are functions that tell when each token came.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

# Answers prompts together, so many tokens each; returns the times at which each one's tokens came.
Run = Callable[[Sequence[str], int], list[list[float]]]

PROMPTS = (
    "Tell me a long story about a dog and a cat that cross the sea.",
    "Explain how bread is made, step by step, in as much detail as you can.",
    "Write a letter to a friend about your first week in a new town.",
    "What happened in the history of France? Begin early and leave nothing out.",
    "Describe a walk through a forest in autumn, with all that one can see and hear.",
    "How does a bicycle work? Explain every part of it.",
    "List everything that one should take along on a long journey, and say why.",
    "Give me advice on how to learn to play the piano, from the first day on.",
)


@dataclass(frozen=True, slots=True)
class Pace:
    """What was measured of so many streams, medians of several runs.

    Attributes:
        tokens_per_second: of all streams together, from the question to the last token.
        first_token_ms: from the question to a stream's first token.
        decoded_per_second: of all streams together, from the first token on.
        spread: the fastest stream's pace after its first token divided by the slowest one's.
    """

    tokens_per_second: float
    first_token_ms: float
    decoded_per_second: float
    spread: float


def measured(run: Run, streams: int, tokens: int, number: int = 0) -> Pace:
    """Run once; of each number prompts begin otherwise, so that none is known from an earlier run."""
    prompts = [f"({number}.{place}) {PROMPTS[place % len(PROMPTS)]}" for place in range(streams)]
    start = time.perf_counter()
    came = run(prompts, tokens)
    last, many = max(times[-1] for times in came), sum(map(len, came))
    paces = [(len(times) - 1) / (times[-1] - times[0]) for times in came]
    first = min(times[0] for times in came)
    return Pace(
        tokens_per_second=many / (last - start),
        first_token_ms=1000 * statistics.median(times[0] - start for times in came),
        decoded_per_second=(many - streams) / (last - first),
        spread=max(paces) / min(paces),
    )


def in_turn(runs: dict[str, Run], streams: int, tokens: int, times: int) -> dict[str, Pace]:
    """Medians of several runs of each, in turn; a first one of each is not counted."""
    for run in runs.values():
        measured(run, streams, min(tokens, 8))
    found = [{name: measured(run, streams, tokens, n) for name, run in runs.items()} for n in range(1, times + 1)]
    return {name: _median([each[name] for each in found]) for name in runs}


def of_engine(engine: Any) -> Run:
    """Ours: all prompts at once, each in a thread."""
    from vlbm.engine import GenerationRequest, Message, Token

    def one(prompt: str, tokens: int) -> list[float]:
        request = GenerationRequest((Message("user", prompt),), max_tokens=tokens, min_tokens=tokens)
        return [time.perf_counter() for step in engine.generate(request) if isinstance(step, Token)]

    def run(prompts: Sequence[str], tokens: int) -> list[list[float]]:
        with ThreadPoolExecutor(len(prompts)) as threads:
            return list(threads.map(lambda prompt: one(prompt, tokens), prompts))

    return run


def of_transformers(model: Any, processor: Any) -> Run:
    """`transformers.generate` on the same language model, greedily, one prompt after the other."""
    return lambda prompts, tokens: [_generated(model.language_model, processor, [one], tokens) for one in prompts]


def of_transformers_together(language_model: Any, processor: Any) -> Run:
    """`transformers.generate` with a static cache, greedily, all prompts as one batch.

    Its forward pass is compiled where transformers does so by itself: on a GPU, once for each size of a batch.
    """

    def run(prompts: Sequence[str], tokens: int) -> list[list[float]]:
        came = _generated(language_model, processor, prompts, tokens, cache_implementation="static")
        return [came] * len(prompts)

    return run


def _generated(language_model: Any, processor: Any, prompts: Sequence[str], tokens: int, **options: Any) -> list[float]:
    """The times at which the tokens of one batch came, where the language model is."""
    import torch
    from transformers import StoppingCriteriaList

    from vlbm.engine import Message
    from vlbm.engine.text import render

    came = list[float]()

    def note(ids: Any, _scores: Any, **_: Any) -> Any:
        ids.cpu()  # waits for it
        came.append(time.perf_counter())
        return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

    asked = [render(processor, [Message("user", prompt)]) for prompt in prompts]
    longest, device = max(map(len, asked)), language_model.device
    language_model.generate(
        torch.tensor([[0] * (longest - len(row)) + row for row in asked], device=device),
        attention_mask=torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in asked], device=device),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        stopping_criteria=StoppingCriteriaList([note]),
        **options,
    )
    return came


def _median(paces: Sequence[Pace]) -> Pace:
    return Pace(*(statistics.median(getattr(pace, name) for pace in paces) for name in Pace.__slots__))
