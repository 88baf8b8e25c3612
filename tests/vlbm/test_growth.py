"""Many turns take no more memory than few: pages of the cache are used again."""

from __future__ import annotations

from typing import Any

import psutil

from tests.vlbm.conftest import drawn, picture_ref
from vlbm.engine import End, Engine, FeatureCache, GenerationRequest, Message

TURNS, SETTLED = 300, 100
MOST_GROWTH = 16 * 2**20  # bytes; a page of keys and values lost each turn would be 73 MB


def test_three_hundred_turns_take_no_more_memory(model: Any, processor: Any) -> None:
    engine = Engine(model, processor, tokens=1024, features=FeatureCache(capacity=4))
    process, sizes = psutil.Process(), list[int]()
    pictures = [picture_ref(drawn(f"#{40 * n:02x}80{255 - 40 * n:02x}")) for n in range(6)]
    for number in range(TURNS):
        seen = (pictures[number // 10 % 6],) if number % 10 == 0 else ()
        asked = GenerationRequest((Message("user", f"What is after {number}?", seen),), max_tokens=2)
        assert isinstance(list(engine.generate(asked))[-1], End)
        sizes.append(process.memory_info().rss)
    engine.close()
    assert max(sizes[-SETTLED:]) - max(sizes[:SETTLED]) < MOST_GROWTH
