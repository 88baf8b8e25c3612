"""Many turns take no more memory than few: pages of the cache are used again."""

from __future__ import annotations

import ctypes
from typing import Any

import psutil

from tests.vlbm.conftest import drawn, picture_ref
from vlbm.engine import End, Engine, FeatureCache, GenerationRequest, Message

TURNS, SETTLED, LAST = 300, 100, 20
MOST_GROWTH = 2 * 2**20  # bytes: 40 KB lost each turn are seen; a page of keys and values has 360 KB


def test_many_turns_take_no_more_memory_than_few(model: Any, processor: Any) -> None:
    """Turns each of its own prompt, some with pictures; thousands are `make bench`'s."""
    engine = Engine(model, processor, tokens=512, features=FeatureCache(capacity=4))
    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)  # glibc's
    process, sizes = psutil.Process(), list[int]()
    pictures = [picture_ref(drawn(f"#{40 * n:02x}80{255 - 40 * n:02x}")) for n in range(6)]
    for number in range(TURNS):
        seen = (pictures[number // 10 % 6],) if number % 10 == 0 else ()
        asked = GenerationRequest((Message("user", f"What comes after {number}, and why?", seen),), max_tokens=2)
        assert isinstance(list(engine.generate(asked))[-1], End)
        trim(0)  # what the allocator only keeps for later comes and goes by 10 MB
        sizes.append(process.memory_info().rss)
    pages = engine.loop.reader.pages  # type: ignore[attr-defined]
    engine.close()
    assert pages.available == pages.count
    assert max(sizes[-LAST:]) - max(sizes[SETTLED : SETTLED + LAST]) < MOST_GROWTH
