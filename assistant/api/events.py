"""A session's events as ``text/event-stream`` (HTML, 9.2): the frames of the websocket, from a cursor on.

The ``id`` of an event is its place, ``EPOCH:SEQ``; a reader that was cut off sends the last one as ``Last-Event-ID``,
as browsers do by themselves. As on a socket nothing is queued here: a slow reader's events stay in the store.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.types import Receive, Scope, Send

from assistant.api.problems import HttpError
from assistant.domain.errors import NotFound, Unavailable
from assistant.gateway.tails import FIRST_READ, continues, wider
from assistant.gateway.wire.answers import SessionDeleted, SessionSnapshot
from assistant.gateway.wire.frame import HEARTBEAT_SECONDS
from assistant.ports.conversations import ConversationStore, Cursor, LogEntry

MEDIA_TYPE = "text/event-stream"
RETRY_MILLISECONDS = 1000
_CURSOR = re.compile(r"([\x21-\x39\x3b-\x7e]{1,64}):([0-9]{1,16})")
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # proxies of nginx's kind would hold events back
]
_HEARTBEAT = b": still here\n\n"


def read_cursor(text: str) -> Cursor:
    """The place that an event's ``id`` says. Raises ``HttpError``."""
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise HttpError("invalid_cursor", "A cursor is the `id` of an event: EPOCH:SEQ. Leave it out to begin anew.")
    return Cursor(found[1], int(found[2]))


class EventStream:
    """One reader of one session, as an ASGI application.

    Args:
        epoch: of the session; the numbers of its events are of it.
        after: the number of the last event that the reader has.
        snapshot: what is sent first, where the reader's cursor means nothing.
        left: is called when it is over.
    """

    def __init__(
        self,
        conversations: ConversationStore,
        session_id: str,
        epoch: str,
        after: int,
        snapshot: SessionSnapshot | None,
        left: Callable[[], Awaitable[None]],
    ) -> None:
        self._conversations = conversations
        self._session_id = session_id
        self._epoch = epoch
        self._after = after
        self._snapshot = snapshot
        self._left = left
        self._over = asyncio.Event()

    def end(self) -> None:
        """End the stream; its reader may come back, here or elsewhere."""
        self._over.set()

    async def dismiss(self, reason: str) -> None:
        """As ``end``: a reader that comes back is asked anew who it is."""
        self.end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the session or the reader is gone, or the stream is dismissed."""
        send_bytes = _sender(send)
        tasks = [
            asyncio.create_task(self._follow(send_bytes), name=f"events {self._session_id}"),
            asyncio.create_task(_gone(receive), name="reader"),
            asyncio.create_task(self._over.wait(), name="dismissed"),
        ]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await self._left()
        for result in results:
            if isinstance(result, Exception):
                raise result
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _follow(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        await send(b"retry: %d\n\n" % RETRY_MILLISECONDS)
        if self._snapshot is not None:
            await send(self._event(self._snapshot.to_json(), self._snapshot.seq))
        async with self._conversations.watch(self._session_id) as bell:
            away = False
            while True:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        fresh = await bell.wait()
                except TimeoutError:
                    await send(_HEARTBEAT)
                    if not away:
                        continue
                    fresh = []
                away = False
                try:
                    if continues(self._after, fresh):
                        await self._send_entries(send, fresh)
                    else:
                        await self._catch_up(send)
                except Unavailable:
                    away = (
                        True  # the bell rings when the store is back, but not where only a node of a cluster was away
                    )
                except NotFound:
                    await send(_frame(SessionDeleted(session_id=self._session_id).to_json()))
                    return

    async def _catch_up(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Read the log to its end, in pieces that together are never much."""
        limit = FIRST_READ
        while True:
            entries = await self._conversations.read(self._session_id, self._after, limit)
            await self._send_entries(send, entries)
            if len(entries) < limit:
                return
            limit = wider(limit, entries)

    async def _send_entries(self, send: Callable[[bytes], Awaitable[None]], entries: list[LogEntry]) -> None:
        for entry in entries:
            if entry.seq > self._after:
                await send(self._event(entry.json, entry.seq))
                self._after = entry.seq

    def _event(self, json: str, seq: int) -> bytes:
        return f"id: {self._epoch}:{seq}\n".encode() + _frame(json)


def _frame(json: str) -> bytes:
    """An event of one line, for JSON has no line breaks outside strings and escapes those inside."""
    return f"data: {json}\n\n".encode()


def _sender(send: Send) -> Callable[[bytes], Awaitable[None]]:
    async def send_bytes(data: bytes) -> None:
        message: MutableMapping[str, Any] = {"type": "http.response.body", "body": data, "more_body": True}
        await send(message)

    return send_bytes


async def _gone(receive: Receive) -> None:
    """Return when the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
