"""A client that comes back: it reconnects, authenticates and opens its sessions again at their cursors by itself."""

import asyncio
import contextlib
import hashlib
import logging
import random
import uuid
from typing import Any

from websockets.exceptions import ConnectionClosed

from assistant.client.errors import ClientError, ServerRefused
from assistant.client.link import Link, keep_alive
from assistant.client.session import Session
from assistant.gateway.wire import CHUNK_BYTES, HEARTBEAT_SECONDS, Chunk
from assistant.ports import Cursor

log = logging.getLogger(__name__)
Picture = str
"""The id of an uploaded picture."""


class Client:
    """A connection to an assistant. Use as an asynchronous context manager.

    Args:
        url: of the websocket, such as ``ws://127.0.0.1:8000/v1/ws``.
        token: of the owner; None is anonymous.
        patience: seconds for which a lost server is sought before commands fail.
    """

    def __init__(self, url: str, *, token: str | None = None, patience: float = 60.0) -> None:
        self._url = url
        self._token = token
        self._patience = patience
        self._sessions: dict[str, Session] = {}
        self._link: Link | None = None
        self._linked = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Client":
        await self._connect()
        self._keeper = asyncio.create_task(self._keep(), name="client")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._link is not None:
            await self._link.close()

    async def open(self, session_id: str | None = None, cursor: Cursor | None = None) -> Session:
        """Open a session: a new one, or a known one from a cursor (from its start without one).

        Raises:
            ServerRefused: there is no such session.
        """
        if session_id is not None:
            # Known before the answer, because its events may follow the answer at once.
            start = cursor or Cursor("", 0)
            session = self._sessions[session_id] = Session(session_id, start, self.command)
            with contextlib.ExitStack() as undo:
                undo.callback(self._sessions.pop, session_id)
                ack = await self.command("session.open", session_id=session_id, **_cursor(cursor))
                undo.pop_all()
            if cursor is None:
                session.cursor = Cursor(ack["cursor"]["epoch"], max(ack["cursor"]["seq"], session.cursor.seq))
            return session
        ack = await self.command("session.open")
        session = Session(ack["session_id"], Cursor(ack["cursor"]["epoch"], ack["cursor"]["seq"]), self.command)
        self._sessions[session.session_id] = session
        return session

    async def upload(self, data: bytes, mime: str = "") -> Picture:
        """Send a picture; bytes that this owner has sent before are not sent again.

        Raises:
            ServerRefused: it is no picture, too large, damaged ...
        """
        while True:
            link = await self._ready()
            try:
                return await _upload(link, data, mime)
            except ConnectionClosed:
                await link.closed.wait()

    async def command(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a command, again after a lost connection: every command of this protocol may be sent twice.

        Raises:
            ServerRefused: the server said no.
            ClientError: the server cannot be reached.
        """
        while True:
            link = await self._ready()
            try:
                return await link.command(kind, **fields)
            except ConnectionClosed:
                await link.closed.wait()

    async def drop(self) -> None:
        """Lose the connection, as a network does; the client comes back by itself. For tests and demonstrations."""
        if self._link is not None:
            self._link.abort()
            await self._link.closed.wait()

    async def _ready(self) -> Link:
        try:
            async with asyncio.timeout(self._patience):
                while self._link is None or self._link.closed.is_set():
                    if self._keeper is not None and self._keeper.done():
                        self._keeper.result()
                    self._linked.clear()
                    await self._linked.wait()
        except TimeoutError:
            raise ClientError(f"No assistant answers at {self._url}.") from None
        return self._link

    async def _connect(self) -> None:
        self._link = link = await Link.open(self._url, self._token, self._on_event)
        for session in self._sessions.values():
            await link.command("session.open", session_id=session.session_id, **_cursor(session.cursor))
        self._linked.set()

    async def _keep(self) -> None:
        """Come back whenever the link drops; when that fails for good, tell whoever waits."""
        try:
            while self._link is not None:
                async with asyncio.TaskGroup() as tasks:
                    pinger = tasks.create_task(keep_alive(self._link, HEARTBEAT_SECONDS))
                    await self._link.closed.wait()
                    pinger.cancel()
                await self._connect_again()
        except ClientError as error:
            for session in self._sessions.values():
                session.fail(error)
            raise

    async def _connect_again(self) -> None:
        """Connect, with growing pauses between attempts, for as long as patience lasts."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        pause = 0.05
        while True:
            try:
                return await self._connect()
            except ServerRefused:
                raise
            except (ClientError, ConnectionClosed) as error:
                if loop.time() > deadline:
                    raise ClientError(f"No assistant answers at {self._url}.") from error
                log.info("not connected: %s", error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
                pause = min(pause * 2, 5.0)

    def _on_event(self, frame: dict[str, Any], text: str) -> None:
        session = self._sessions.get(frame.get("session_id", ""))
        if session is not None:
            session.feed(frame, text)


async def _upload(link: Link, data: bytes, mime: str) -> Picture:
    upload_id = uuid.uuid4()
    announced = {"upload_id": str(upload_id), "sha256": hashlib.sha256(data).hexdigest()}
    ack = await link.command("image.begin", **announced, bytes=len(data), mime=mime)
    if "image_id" in ack:
        return str(ack["image_id"])
    for offset in range(ack["offset"], len(data), CHUNK_BYTES):
        await link.send_bytes(Chunk.pack(upload_id, offset, data[offset : offset + CHUNK_BYTES]))
    return str((await link.command("image.end", upload_id=str(upload_id)))["image_id"])


def _cursor(cursor: Cursor | None) -> dict[str, Any]:
    return {"cursor": {"epoch": cursor.epoch, "seq": cursor.seq}} if cursor else {}
