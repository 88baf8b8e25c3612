"""What comes next of a session: from rings where they go on from what came, from the log where they do not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from assistant.domain.errors import NotFound, Unavailable
from assistant.gateway import following as following_module
from assistant.gateway.following import following
from assistant.ports.conversations import Bell, LogEntry
from tests.assistant.fakes import OWNER, FakeConversations


class Rings(FakeConversations, Bell):
    """A log whose bell brings what a test says, and that counts how often it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.rings: asyncio.Queue[list[LogEntry]] = asyncio.Queue()
        self.reads = 0

    async def wait(self) -> list[LogEntry]:
        return await self.rings.get()

    async def read(self, session_id: str, after: int, limit: int = 500) -> list[LogEntry]:
        self.reads += 1
        return await super().read(session_id, after, limit)

    def watch(self, session_id: str) -> AbstractAsyncContextManager[Bell]:
        return contextlib.nullcontext(self)

    def ring(self, *numbers: int) -> None:
        self.rings.put_nowait([LogEntry(number, "{}") for number in numbers])


@pytest.fixture
async def store() -> Rings:
    store = Rings()
    await store.create(OWNER)
    return store


async def numbers(coming: AsyncIterator[list[LogEntry]]) -> list[int]:
    async with asyncio.timeout(5):
        return [entry.seq for entry in await anext(coming)]


async def test_rings_that_go_on_cost_no_look_at_the_log(store: Rings) -> None:
    async with contextlib.aclosing(following(store, "s_1", 3, asyncio.Lock())) as coming:
        for ring, new in (([4], [4]), ([5, 6], [5, 6]), ([5, 6, 7], [7])):
            store.ring(*ring)
            assert await numbers(coming) == new
        store.ring(6, 7)
        store.ring(8)
        assert await numbers(coming) == [8]
    assert store.reads == 0


@pytest.mark.parametrize("ring", [[], [3], [1, 3]])
async def test_where_they_do_not_the_log_says_what_was_missed(store: Rings, ring: list[int]) -> None:
    store.add("s_1", *["{}"] * 9)
    async with contextlib.aclosing(following(store, "s_1", 1, asyncio.Lock())) as coming:
        store.ring(*ring)
        came = [await numbers(coming) for _ in range(3)]
        assert came == [[2, 3], [4, 5, 6, 7], [8, 9]]
        store.ring(10)
        assert await numbers(coming) == [10]
    assert store.reads == 3


async def test_what_was_read_is_held_by_one_at_a_time(store: Rings) -> None:
    store.add("s_1", "{}")
    reading = asyncio.Lock()
    async with contextlib.aclosing(following(store, "s_1", 0, reading)) as coming:
        store.ring()
        assert await numbers(coming) == [1]
        assert reading.locked()
        store.ring(2)
        assert await numbers(coming) == [2]
        assert not reading.locked()
        store.add("s_1", "{}", "{}")
        store.ring()
        assert await numbers(coming) == [3]
    assert not reading.locked(), "whoever stopped holds nothing"


async def test_a_quiet_session_and_one_that_cannot_be_read_show_that_time_passes(
    store: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following_module, "AGAIN_SECONDS", (0.01, 0.02))
    store.add("s_1", "{}")
    async with contextlib.aclosing(following(store, "s_1", 0, asyncio.Lock(), 0.01)) as coming:
        assert await numbers(coming) == []
        assert store.reads == 0
        store.error = Unavailable("unavailable", "Later.")
        store.ring()
        for _ in range(3):
            assert await numbers(coming) == []
        store.error = None
        assert await numbers(coming) == [1]
        assert store.reads > 1


async def test_a_session_that_is_gone_is_not_followed(store: Rings) -> None:
    async with contextlib.aclosing(following(store, "s_1", 0, asyncio.Lock())) as coming:
        await store.delete(OWNER, "s_1")
        store.ring()
        with pytest.raises(NotFound):
            await numbers(coming)
