"""Sends the events of the sessions that are open on a connection, each from its client's cursor on.

It holds no queue of events: a slow client's events stay in the store until it is read to.
"""

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Iterator

from websockets.exceptions import ConnectionClosed

from assistant.domain.errors import NotFound, Unavailable
from assistant.gateway.wire.answers import SessionDeleted, SessionSnapshot
from assistant.ports.conversations import Bell, ConversationStore, LogEntry

log = logging.getLogger(__name__)
FIRST_READ, MOST_READ = 2, 64
"""Events that are read at once: few at first, for each may be long; then as many as may make up ``READ_CHARACTERS``."""
AGAIN_SECONDS = (3.0, 6.0)
"""After so long the log is looked at again that could not be read; not by all tails at the same moment."""
READ_CHARACTERS = 64 * 1024
"""What is held for a client that reads slowly."""


class Tails:
    """The sessions that one connection follows.

    Args:
        send: sends a text frame; waits while the client is slow.
        ack_first: held from carrying a command out to its ack, so that no event of it overtakes the ack.
        broken: is called when a tail cannot go on: the client has to come back.
    """

    def __init__(
        self,
        conversations: ConversationStore,
        send: Callable[[str], Awaitable[None]],
        ack_first: asyncio.Lock,
        broken: Callable[[], None],
    ) -> None:
        self._conversations = conversations
        self._send = send
        self._ack_first = ack_first
        self._broken = broken
        self._tails: dict[str, asyncio.Task[None]] = {}
        self._catching_up = asyncio.Lock()
        """Held while events wait to be sent that were read from the log: of one session at a time."""

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._tails

    def __iter__(self) -> Iterator[str]:
        return iter(self._tails)

    def __len__(self) -> int:
        return len(self._tails)

    async def follow(self, session_id: str, after: int, snapshot: SessionSnapshot | None) -> None:
        """Send what follows ``after``, from now on. Opening a session again moves its cursor."""
        await self.unfollow(session_id)
        tail = asyncio.create_task(self._tail(session_id, after, snapshot), name=f"tail {session_id}")
        tail.add_done_callback(self._ended)
        self._tails[session_id] = tail

    async def unfollow(self, session_id: str) -> None:
        """Send no more of a session; one that is not followed is left alone."""
        if (tail := self._tails.pop(session_id, None)) is not None:
            tail.cancel()
            await asyncio.gather(tail, return_exceptions=True)

    async def stop(self) -> None:
        """Send nothing more."""
        for tail in self._tails.values():
            tail.cancel()
        await asyncio.gather(*self._tails.values(), return_exceptions=True)

    def _ended(self, tail: asyncio.Task[None]) -> None:
        if not tail.cancelled() and (error := tail.exception()) is not None:
            log.error("a tail broke: %s", type(error).__name__)
            self._broken()

    async def _tail(self, session_id: str, after: int, snapshot: SessionSnapshot | None) -> None:
        if snapshot is not None:
            async with self._ack_first:
                await self._send(snapshot.to_json())
        async with self._conversations.watch(session_id) as bell:
            away = False
            while True:
                fresh = await _rung(bell, random.uniform(*AGAIN_SECONDS) if away else None)  # noqa: S311
                away = False
                try:
                    if continues(after, fresh):
                        after = await self._send_entries(after, fresh)
                    else:
                        after = await self._catch_up(session_id, after)
                except Unavailable:
                    # The bell rings when the store is back, but not where only a node of a cluster was away.
                    log.warning("the store does not answer: a tail waits")
                    away = True
                except NotFound:
                    await self._say_deleted(session_id)
                    return
                except ConnectionClosed:
                    return

    async def _say_deleted(self, session_id: str) -> None:
        async with self._ack_first:
            if self._tails.get(session_id) is asyncio.current_task():
                del self._tails[session_id]
            with contextlib.suppress(ConnectionClosed):
                await self._send(SessionDeleted(session_id=session_id).to_json())

    async def _catch_up(self, session_id: str, after: int) -> int:
        limit = FIRST_READ
        while True:
            async with self._catching_up:
                entries = await self._conversations.read(session_id, after, limit)
                after = await self._send_entries(after, entries)
            if len(entries) < limit:
                return after
            limit = wider(limit, entries)

    async def _send_entries(self, after: int, entries: list[LogEntry]) -> int:
        async with self._ack_first:
            for entry in entries:
                if entry.seq > after:
                    await self._send(entry.json)
                    after = entry.seq
        return after


async def _rung(bell: Bell, most_seconds: float | None) -> list[LogEntry]:
    """What came with the next ring, or nothing after some time."""
    try:
        async with asyncio.timeout(most_seconds):
            return await bell.wait()
    except TimeoutError:
        return []


def wider(limit: int, entries: list[LogEntry]) -> int:
    """How many events to read at once after so many that were these: what should make up ``READ_CHARACTERS``."""
    size = sum(len(entry.json) for entry in entries)
    return max(min(READ_CHARACTERS * len(entries) // size, 2 * limit, MOST_READ), 1)


def continues(after: int, entries: list[LogEntry]) -> bool:
    """Whether these entries leave no gap behind ``after`` or between them."""
    if not entries or entries[0].seq > after + 1:
        return False
    return all(later.seq == earlier.seq + 1 for earlier, later in itertools.pairwise(entries))
