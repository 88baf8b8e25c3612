"""llama.cpp as a peer: its own batched decoding of the same GGUF file, greedily.

Needs `pip install llama-cpp-python`, which is built in some minutes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from vlbm.engine import Message
from vlbm.engine.text import render
from vlbm.evaluation.pace import Run

ROWS = 512  # tokens of a pass


class Llama:
    """A model in llama.cpp, by its plain C interface: one pass reads tokens of several answers.

    Args:
        path: of the GGUF file.
        streams: answers at the same time, at most.
        threads: of a pass.
    """

    def __init__(self, path: Path, *, streams: int, threads: int) -> None:
        self.lib: Any = import_module("llama_cpp")
        self._quiet = self.lib.llama_log_callback(lambda _level, _text, _data: None)  # kept: the library calls it
        self.lib.llama_log_set(self._quiet, None)
        self.lib.llama_backend_init()
        self.model = self.lib.llama_model_load_from_file(str(path).encode(), self.lib.llama_model_default_params())
        settings = self.lib.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch, settings.n_seq_max = 1024 * streams, ROWS, ROWS, streams
        settings.n_threads = settings.n_threads_batch = threads
        self.context = self.lib.llama_init_from_model(self.model, settings)
        self.vocabulary = int(self.lib.llama_vocab_n_tokens(self.lib.llama_model_get_vocab(self.model)))
        self.batch = self.lib.llama_batch_init(ROWS, 0, 1)

    def answer(self, prompts: Sequence[Sequence[int]], tokens: int) -> list[list[float]]:
        """Read prompts together, and go on with each for so many tokens; the times at which they came."""
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        came: list[list[float]] = [[] for _ in prompts]
        rows = [(stream, place, token) for stream, ids in enumerate(prompts) for place, token in enumerate(ids)]
        nexts: dict[int, int] = {}
        for start in range(0, len(rows), ROWS):
            nexts |= self._pass(rows[start : start + ROWS], [len(ids) - 1 for ids in prompts])
        for number in range(tokens):
            now = time.perf_counter()
            for times in came:
                times.append(now)
            if number < tokens - 1:
                places = [len(ids) + number for ids in prompts]
                nexts = self._pass([(stream, places[stream], token) for stream, token in nexts.items()], places)
        return came

    def _pass(self, rows: Sequence[tuple[int, int, int]], last: Sequence[int]) -> dict[int, int]:
        """Read rows of (stream, place, token); the likeliest next token of each stream whose last place is read."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for row, (stream, place, token) in enumerate(rows):
            batch.token[row], batch.pos[row], batch.n_seq_id[row] = token, place, 1
            batch.seq_id[row][0], batch.logits[row] = stream, place == last[stream]
        if self.lib.llama_decode(self.context, batch):
            raise RuntimeError("llama_decode failed")
        return {stream: self._likeliest(row) for row, (stream, place, _) in enumerate(rows) if place == last[stream]}

    def _likeliest(self, row: int) -> int:
        logits = self.lib.llama_get_logits_ith(self.context, row)
        return int(np.ctypeslib.as_array(logits, shape=(self.vocabulary,)).argmax())


def of_llama(path: Path, processor: Any, *, streams: int, threads: int) -> Run:
    """What `vlbm.evaluation.pace` measures."""
    llama = Llama(path, streams=streams, threads=threads)

    def run(prompts: Sequence[str], tokens: int) -> list[list[float]]:
        return llama.answer([render(processor, [Message("user", prompt)]) for prompt in prompts], tokens)

    return run
