"""A stream of events goes on after a store that was away, whether or not a bell says that it is back."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from assistant.api import events
from assistant.api.events import EventStream
from assistant.domain.errors import Unavailable
from assistant.gateway import following
from tests.assistant.fakes import FakeConversations


async def test_a_log_that_could_not_be_read_is_read_again_without_a_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(following, "AGAIN_SECONDS", (0.05, 0.06))
    store, sent, came = FakeConversations(), list[bytes](), asyncio.Event()
    session, cursor = await store.create("ada")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("body", b""))
        if b"hello" in sent[-1]:
            came.set()

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def left() -> None:
        pass

    stream = EventStream(store, session, cursor.epoch, cursor.seq, None, left)
    running = asyncio.create_task(stream({"type": "http"}, receive, send))
    await asyncio.sleep(0)
    store.error = Unavailable("unavailable", "Later.")
    store.add(session, '{"text":"hello"}')
    await asyncio.sleep(0.02)  # the ring came, and the log could not be read
    store.error = None
    async with asyncio.timeout(5):
        await came.wait()
    stream.end()
    await running
    assert any(b"still here" in body for body in sent)
