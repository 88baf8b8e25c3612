"""A session's events as ``text/event-stream`` (HTML, 9.2): the frames of the websocket, from a cursor on.

The ``id`` of an event is its place, ``EPOCH:SEQ``; a reader that was cut off sends the last one as ``Last-Event-ID``,
as browsers do by themselves. As on a socket nothing is queued here: a slow reader's events stay in the store.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.types import Receive, Scope, Send

from assistant.api.problems import HttpError
from assistant.domain.errors import NotFound
from assistant.gateway.following import following
from assistant.gateway.wire.answers import SessionDeleted, SessionSnapshot
from assistant.gateway.wire.frame import HEARTBEAT_SECONDS
from assistant.ports.conversations import ConversationStore, Cursor

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
        coming = following(self._conversations, self._session_id, self._after, asyncio.Lock(), HEARTBEAT_SECONDS)
        try:
            async with contextlib.aclosing(coming):
                async for entries in coming:
                    for entry in entries:
                        await send(self._event(entry.json, entry.seq))
                    if not entries:
                        await send(_HEARTBEAT)
        except NotFound:
            await send(_frame(SessionDeleted(session_id=self._session_id).to_json()))

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
