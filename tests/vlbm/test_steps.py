"""Passes that are run in recorded parts, of rounded sizes, read what passes as they come do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vlbm.engine.dense import DenseNetwork
from vlbm.engine.paged import PagedReader, PagedText
from vlbm.engine.reader import Part
from vlbm.engine.steps import Step

Run = Callable[[], None]
PAGES = 40


def recorded(run: Run) -> Run:
    """As a GPU records: the run is tried twice and then only noted, so what it makes is room with anything in it."""
    for _ in range(3):
        run()
    of: Any = getattr(run, "__self__", None)
    if isinstance(of, Step):
        of.states.fill_(torch.nan)
    return run


@pytest.fixture(scope="module")
def readers(model: Any) -> tuple[PagedReader, PagedReader]:
    plain = DenseNetwork(model, torch.float32, pages=PAGES)
    return PagedReader(plain), PagedReader(DenseNetwork(model, torch.float32, pages=PAGES, record=recorded))


@pytest.mark.parametrize("sizes", [(1,), (7,), (16,), (3, 5), (4, 4), (1, 20, 11)])
def test_logits_are_the_same_and_numbers(readers: tuple[PagedReader, PagedReader], sizes: tuple[int, ...]) -> None:
    """Of sizes with and without rows that are nobody's."""
    texts = [[(number * 97 + place * 31) % 9000 for place in range(size + 2)] for number, size in enumerate(sizes)]

    def read(reader: PagedReader) -> list[list[torch.Tensor]]:
        begun: list[PagedText] = [reader.begin(ids, len(ids), None) for ids in texts]
        first = reader.read([Part(t, ids[:-2], wanted=1) for t, ids in zip(begun, texts, strict=True)])
        later = reader.read([Part(t, ids[-2:], wanted=2) for t, ids in zip(begun, texts, strict=True)])
        for text in begun:
            reader.end(text, keep=False)
        return [[seen.logits.clone() for seen in found] for found in (first, later)]

    for mine, wanted in zip(*(read(reader) for reader in readers), strict=True):
        for one, other in zip(mine, wanted, strict=True):
            assert torch.allclose(one, other, atol=1e-4)
