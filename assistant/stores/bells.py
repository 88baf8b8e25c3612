"""Bells: tell readers that a log grew or a turn is to stop. Carries no data and promises nothing but a ring.

One subscription connection a process serves all bells. A ring lost with the connection does no harm: when it is back,
every bell rings, and each reader looks from its own cursor.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from assistant.ports import Bell


class RingingBell(Bell):
    """A bell that starts rung, so that its first wait returns at once."""

    def __init__(self, *, rung: bool = True) -> None:
        self._rung = asyncio.Event()
        if rung:
            self._rung.set()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        await self._rung.wait()
        self._rung.clear()


class Bells:
    """All bells of this process, by channel."""

    def __init__(self, client: Redis) -> None:
        self._pubsub: PubSub = client.pubsub()
        self._bells: dict[str, set[RingingBell]] = {}
        self._listener: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def watch(self, channel: str, *, rung: bool = True) -> AsyncIterator[RingingBell]:
        """A bell on a channel. With ``rung`` it also rings whenever a ring may have been missed."""
        bell = RingingBell(rung=rung)
        first = channel not in self._bells
        self._bells.setdefault(channel, set()).add(bell)
        try:
            if first:
                with contextlib.suppress(RedisError, OSError):  # the listener subscribes again when it reconnects
                    await self._pubsub.subscribe(channel)
            if self._listener is None:
                self._listener = asyncio.create_task(self._listen(), name="bells")
            yield bell
        finally:
            self._bells[channel].discard(bell)
            if not self._bells[channel]:
                del self._bells[channel]
                with contextlib.suppress(RedisError, OSError):
                    await self._pubsub.unsubscribe(channel)

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _listen(self) -> None:
        while True:
            try:
                if not self._pubsub.subscribed:
                    await self._subscribe_again()
                message = await self._pubsub.get_message(timeout=5.0)
            except (RedisError, OSError):
                await asyncio.sleep(0.2)
                with contextlib.suppress(RedisError, OSError):
                    await self._subscribe_again()
                continue
            if message is not None and message["type"] in ("message", "subscribe"):
                # The confirmation of a subscription rings too: something may have come just before it.
                for bell in self._bells.get(message["channel"], ()):
                    bell.ring()

    async def _subscribe_again(self) -> None:
        if self._bells:
            await self._pubsub.subscribe(*self._bells)
        else:
            await asyncio.sleep(0.05)
