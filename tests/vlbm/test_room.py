"""What an engine needs is said before it is taken, and a cache takes memory only where it is written to."""

from __future__ import annotations

import os
from typing import Any

import psutil
import pytest
import torch

from vlbm.engine import Engine, memory
from vlbm.engine.passes import kept
from vlbm.errors import NotEnoughMemory


@pytest.mark.parametrize(("precision", "weights"), [("fp32", "0.5"), ("bf16", "0.3")])
def test_what_would_not_fit_is_refused_with_the_numbers(
    model: Any, processor: Any, precision: Any, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _: 2**28)
    with pytest.raises(NotEnoughMemory, match=rf"needs {weights} GiB for weights \({precision}\) .* 0.2 GiB are free"):
        Engine(model, processor, precision=precision, tokens=8192)


def test_free_memory_is_what_the_system_says() -> None:
    free = memory.free_bytes(torch.device("cpu"))
    assert 0.5 * psutil.virtual_memory().available < free < 1.5 * psutil.virtual_memory().available
    assert memory.free_bytes(torch.device("meta")) == float("inf")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_cache_is_zero_and_takes_memory_only_where_it_is_written_to(dtype: torch.dtype) -> None:
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    cache = kept((1024, 1024, 1024), dtype)
    assert (cache.shape, cache.dtype) == ((1024, 1024, 1024), dtype)
    assert cache[7].abs().sum() == 0
    assert process.memory_info().rss - before < cache.nbytes / 8  # other threads take memory meanwhile
    cache[3] = 1
    assert float(cache[3, 5, 5]) == 1
