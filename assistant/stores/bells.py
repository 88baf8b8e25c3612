"""Bells: tell readers that a log grew or a turn is to stop. Promises nothing but a ring.

A new event comes along with its ring, so that a reader who is up to date needs not ask for it. One subscription
connection a process serves all bells. What is lost with the connection does no harm: when it is back, every bell rings
empty-handed, and each reader looks in the log from its own cursor. So does a reader that fell far behind.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from assistant.ports.conversations import Bell, LogEntry
from assistant.stores.connection import STORE_ERRORS, raise_if_cancelled

MOST_ENTRIES = 64
"""A reader further behind than this reads the log instead."""


class RingingBell(Bell):
    """A bell that starts rung, so that its first wait returns at once."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._rung.set()
        self._entries: list[LogEntry] = []
        self._missed = True

    def ring(self, entry: LogEntry | None) -> None:
        """Ring, with what is new where it is known."""
        self._rung.set()
        self._missed = self._missed or entry is None or len(self._entries) >= MOST_ENTRIES
        if self._missed:
            self._entries.clear()
        elif entry is not None:
            self._entries.append(entry)

    async def wait(self) -> list[LogEntry]:
        await self._rung.wait()
        self._rung.clear()
        entries, self._entries, self._missed = self._entries, [], False
        return entries


class Bells:
    """All bells of this process, by channel."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._pubsub: PubSub = client.pubsub()
        self._bells: dict[str, set[RingingBell]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        """Set when there is a bell: without any, nothing is subscribed and there is nothing to listen to."""

    @contextlib.asynccontextmanager
    async def watch(self, channel: str) -> AsyncIterator[RingingBell]:
        """A bell on a channel. It also rings whenever a ring may have been missed."""
        bell = RingingBell()
        first = channel not in self._bells
        self._bells.setdefault(channel, set()).add(bell)
        try:
            if first:
                with contextlib.suppress(*STORE_ERRORS):  # the listener subscribes again when it reconnects
                    await self._pubsub.subscribe(channel)
            self._wanted.set()
            if self._listener is None:
                self._listener = asyncio.create_task(self._listen(), name="bells")
            yield bell
        finally:
            self._bells[channel].discard(bell)
            if not self._bells[channel]:
                del self._bells[channel]
                with contextlib.suppress(*STORE_ERRORS):
                    await self._pubsub.unsubscribe(channel)

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _listen(self) -> None:
        while True:
            raise_if_cancelled()
            try:
                if not self._pubsub.subscribed:
                    await self._subscribe_again()
                self._ring(await self._pubsub.get_message(timeout=5.0))
                await self._ring_rest()
            except STORE_ERRORS:
                await asyncio.sleep(0.2)
                with contextlib.suppress(*STORE_ERRORS):
                    await self._connect_again()

    async def _ring_rest(self) -> None:
        """What came together with a message: read for a fifth of what ``get_message`` takes."""
        connection: Any = self._pubsub.connection
        while connection is not None and await connection.can_read():
            answer = await connection.read_response(timeout=math.inf, disconnect_on_error=False, push_request=True)
            if isinstance(answer, list):  # anything else answers a health check
                self._ring(await self._pubsub.handle_message(answer))  # type: ignore[no-untyped-call]

    def _ring(self, message: dict[str, Any] | None) -> None:
        if message is not None and message["type"] in ("message", "subscribe"):
            # The confirmation of a subscription rings too: something may have come just before it.
            entry = _entry(message["data"]) if message["type"] == "message" else None
            for bell in self._bells.get(message["channel"], ()):
                bell.ring(entry)

    async def _connect_again(self) -> None:
        """Of a cluster, the node that was listened to may be gone for good: another is chosen.

        Its client learns that from a command to the node, which a subscription is not for it.
        """
        for channel in list(self._bells)[:1]:
            await self._redis.pttl(channel)
        before, self._pubsub = self._pubsub, self._redis.pubsub()
        await before.aclose()  # type: ignore[no-untyped-call]
        await self._subscribe_again()

    async def _subscribe_again(self) -> None:
        if self._bells:
            await self._pubsub.subscribe(*self._bells)
        else:
            self._wanted.clear()
            await self._wanted.wait()


def _entry(data: str) -> LogEntry | None:
    """What a script published: the number and the JSON of an event, or nothing."""
    seq, _, json = data.partition(" ")
    return LogEntry(int(seq), json) if json else None
