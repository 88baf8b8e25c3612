"""Sends the events of the sessions that are open on a connection, each from its client's cursor on.

It holds no queue of events: a slow client's events stay in the store until it is read to.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator

from websockets.exceptions import ConnectionClosed

from assistant.domain.errors import NotFound
from assistant.gateway.following import following
from assistant.gateway.wire.answers import SessionDeleted, SessionSnapshot
from assistant.ports.conversations import ConversationStore, LogEntry

log = logging.getLogger(__name__)


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
        coming = following(self._conversations, session_id, after, self._catching_up)
        try:
            async with contextlib.aclosing(coming):
                async for entries in coming:
                    await self._send_entries(entries)
        except NotFound:
            await self._say_deleted(session_id)
        except ConnectionClosed:
            return

    async def _say_deleted(self, session_id: str) -> None:
        async with self._ack_first:
            if self._tails.get(session_id) is asyncio.current_task():
                del self._tails[session_id]
            with contextlib.suppress(ConnectionClosed):
                await self._send(SessionDeleted(session_id=session_id).to_json())

    async def _send_entries(self, entries: list[LogEntry]) -> None:
        async with self._ack_first:
            for entry in entries:
                await self._send(entry.json)
