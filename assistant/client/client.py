"""A client that comes back: it reconnects, authenticates and opens its sessions again at their cursors by itself."""

import asyncio
import hashlib
import logging
import random
import uuid
from collections.abc import AsyncGenerator
from typing import Any, Literal

from websockets.exceptions import ConnectionClosed

from assistant.client.errors import ClientError, ServerRefused
from assistant.client.link import Link, keep_alive
from assistant.client.session import Session
from assistant.domain.limits import Standing
from assistant.domain.sessions import SessionInfo
from assistant.gateway.wire.answers import MemoryItem
from assistant.gateway.wire.frame import CHUNK_BYTES, HEARTBEAT_SECONDS
from assistant.gateway.wire.reading import Chunk
from assistant.ports.conversations import Cursor

log = logging.getLogger(__name__)
Picture = str
"""The id of an uploaded picture."""
REOPEN_SECONDS = 10.0
"""A server that does not open a session again in this time is left for another attempt."""
EXPORT_ATTEMPTS = 3
"""A conversation that changes while it is exported is begun again so often."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0


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
        self._opening: set[str] = set()
        """Sessions whose first opening is not answered: whoever opens them sends that again, not the keeper."""
        self._link: Link | None = None
        self._linked = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._over: ClientError | None = None

    async def __aenter__(self) -> "Client":
        await self._connect()
        self._keeper = asyncio.create_task(self._keep(), name="client")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._end(ClientError("This client is closed."))
        if self._link is not None:
            await self._link.close()

    @property
    def standing(self) -> Standing:
        """What the owner has left of ``turns``, ``tokens``, ``pixels`` and ``bytes``, where they are limited.

        ``remaining``, and ``reset``: in how many seconds all of it is there again. As the server said last, which
        speaks of large changes only.
        """
        return self._link.standing if self._link is not None else Standing({}, {})

    async def open(self, session_id: str | None = None, cursor: Cursor | None = None) -> Session:
        """Open a session: a new one, or a known one from a cursor (from its start without one).

        Whoever opened the same session before gets no more of its events.

        Raises:
            ServerRefused: there is no such session.
        """
        if session_id is not None:
            return await self._open(session_id, cursor)
        ack = await self.command("session.open")
        session = Session(ack["session_id"], Cursor(ack["cursor"]["epoch"], ack["cursor"]["seq"]), self.command)
        self._sessions[session.session_id] = session
        return session

    async def _open(self, session_id: str, cursor: Cursor | None) -> Session:
        session = Session(session_id, cursor or Cursor("", 0), self.command)
        before = self._sessions.get(session_id)
        self._sessions[session_id] = session  # known before the answer: its events may follow the answer at once
        self._opening.add(session_id)
        try:
            ack = await self.command("session.open", session_id=session_id, **_cursor(cursor))
        except BaseException:
            if self._sessions.get(session_id) is session:
                self._sessions.pop(session_id)
                self._sessions |= {session_id: before} if before else {}
            raise
        finally:
            self._opening.discard(session_id)
        if before is not None:
            before.fail(ClientError("This session was opened again."))
        if cursor is None:
            session.cursor = Cursor(ack["cursor"]["epoch"], max(ack["cursor"]["seq"], session.cursor.seq))
        return session

    async def upload(self, data: bytes, mime: str = "") -> Picture:
        """Send a picture; bytes that this owner has sent before are not sent again.

        Raises:
            ServerRefused: it is no picture, too large, damaged ...
        """
        upload_id = uuid.uuid4()
        while True:
            link = await self._ready()
            try:
                return await _upload(link, upload_id, data, mime)
            except ConnectionClosed:
                await link.closed.wait()

    async def sessions(self) -> AsyncGenerator[SessionInfo]:
        """The owner's conversations that have a message, newest first; pages are fetched as they are needed."""
        before: dict[str, str] = {}
        while True:
            page = await self.command("session.list", **before)
            for info in page["sessions"]:
                yield SessionInfo.model_validate(info, extra="ignore")
            if page.get("before") is None:
                return
            before = {"before": page["before"]}

    async def rename(self, session_id: str, title: str) -> str:
        """Give a conversation a title; the title as it is kept. Raises ``ServerRefused``."""
        return str((await self.command("session.rename", session_id=session_id, title=title))["title"])

    async def delete(self, session_id: str) -> None:
        """Delete a conversation and all that belongs to it alone, for every device.

        Raises:
            ServerRefused: there is no such session. So it is when it was deleted before a lost connection.
        """
        await self.command("session.delete", session_id=session_id)
        if (session := self._sessions.pop(session_id, None)) is not None:
            session.end()

    async def export(self, session_id: str, form: Literal["json", "markdown"] = "json") -> str:
        """A conversation as a document: JSON with everything (docs/protocol.md), or Markdown to read.

        Raises:
            ServerRefused: there is no such session, or it changed with every attempt.
        """
        attempts = EXPORT_ATTEMPTS
        while True:
            attempts -= 1
            try:
                return await self._export(session_id, form)
            except ServerRefused as error:
                if error.code != "export_changed" or not attempts:
                    raise

    async def _export(self, session_id: str, form: str) -> str:
        parts: list[str] = []
        more: dict[str, str] = {}
        while True:
            ack = await self.command("session.export", session_id=session_id, format=form, **more)
            parts.append(ack["text"])
            if ack.get("next") is None:
                return "".join(parts)
            more = {"part": ack["next"]}

    async def close(self, session: Session) -> None:
        """Get no more events of a session; it stays as it is, and can be opened again."""
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]
            await self.command("session.close", session_id=session.session_id)
        session.fail(ClientError("This session was closed."))

    async def remember(self, picture: Picture, text: str, *, language: str | None = None) -> MemoryItem:
        """Have it remembered what a picture shows, in every conversation of this owner.

        Raises:
            ServerRefused: there is no such picture, nothing is said of it, or too much.
        """
        named = {"language": language} if language else {}
        return _item((await self.command("memory.add", image_id=picture, text=text, **named))["memory"])

    async def memories(self) -> list[MemoryItem]:
        """What is remembered for this owner, in the order in which it was taught."""
        return [_item(kept) for kept in (await self.command("memory.list"))["memories"]]

    async def forget(self, memory: str) -> list[MemoryItem]:
        """Have pictures forgotten that are meant by an id, or by what was said of them. What was.

        Raises:
            ServerRefused: there is nothing of this name. So it is when it was forgotten before a lost connection.
        """
        return [_item(gone) for gone in (await self.command("memory.remove", memory=memory))["removed"]]

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
        """Lose the connection, as a network does; the client comes back by itself. For tests and demonstrations.

        Raises:
            ClientError: there is none to lose.
        """
        link = await self._ready()
        link.abort()
        await link.closed.wait()

    async def _ready(self) -> Link:
        """A link that is open, with every session on it."""
        try:
            async with asyncio.timeout(self._patience):
                while self._link is None or self._link.closed.is_set():
                    if self._over is not None:
                        raise self._over
                    self._linked.clear()
                    await self._linked.wait()
        except TimeoutError:
            raise self._nobody() from None
        return self._link

    def _nobody(self) -> ClientError:
        return ClientError(f"No assistant answers at {self._url}.")

    def _end(self, error: ClientError) -> None:
        """There will be no other link: tell whoever waits for one, or for events."""
        self._over = error
        self._linked.set()
        for session in self._sessions.values():
            session.fail(error)

    async def _connect(self) -> None:
        """Connect, and open again every session that is open; commands wait until all of it is done."""
        link = await Link.open(self._url, self._token, self._on_event)
        try:
            # A copy: others open sessions meanwhile. They do so on this link too, once it is ready.
            for session in [*self._sessions.values()]:
                if session.session_id not in self._opening:
                    await self._follow(link, session)
        except BaseException:
            await link.close()
            raise
        self._link = link
        self._linked.set()

    async def _follow(self, link: Link, session: Session) -> None:
        """Open a session again where it was. One that is gone fails alone; one that may come later is waited for."""
        while True:
            try:
                async with asyncio.timeout(REOPEN_SECONDS):
                    await link.command("session.open", session_id=session.session_id, **_cursor(session.resume_from))
                return
            except ServerRefused as error:
                if error.retry_after is None:
                    self._drop(session, error)
                    return
                log.info("a session is not opened yet: %s", error.code)
                await asyncio.sleep(max(error.retry_after, FIRST_PAUSE))

    def _drop(self, session: Session, error: ClientError) -> None:
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]
        session.fail(error)

    async def _keep(self) -> None:
        """Come back whenever the link drops; when that fails for good, tell whoever waits."""
        try:
            while self._link is not None:
                pinger = asyncio.create_task(keep_alive(self._link, HEARTBEAT_SECONDS), name="heartbeat")
                try:
                    await self._link.closed.wait()
                finally:
                    pinger.cancel()
                    await asyncio.gather(pinger, return_exceptions=True)
                if self._link.is_revoked:
                    raise ServerRefused("token_revoked", "The key or token was revoked or has expired: use another.")
                await self._connect_again()
        except ClientError as error:
            self._end(error)
        except Exception as error:
            log.exception("the client ends by an error of its own")
            self._end(ClientError(f"The client failed: {error!r}"))

    async def _connect_again(self) -> None:
        """Connect, with growing pauses between attempts, for as long as patience lasts.

        Raises:
            ServerRefused: not let in, and not to be later.
            ClientError: patience ended.
        """
        pause = FIRST_PAUSE
        try:
            async with asyncio.timeout(self._patience):
                while not await self._connected():
                    await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
                    pause = min(pause * 2, LONGEST_PAUSE)
        except TimeoutError:
            raise self._nobody() from None

    async def _connected(self) -> bool:
        """Try once; whether it worked. Raises ``ServerRefused`` where there is no use in trying again."""
        try:
            await self._connect()
        except ServerRefused as error:
            if error.retry_after is None:
                raise
            log.info("not let in yet: %s", error.code)
            await asyncio.sleep(error.retry_after)
            return False
        except (ClientError, ConnectionClosed, TimeoutError) as error:
            log.info("not connected: %s", error)
            return False
        return True

    def _on_event(self, frame: dict[str, Any], text: str) -> None:
        session = self._sessions.get(str(frame.get("session_id")))
        if session is not None:
            session.feed(frame, text)
            if frame["type"] == "session.deleted":
                del self._sessions[session.session_id]


async def _upload(link: Link, upload_id: uuid.UUID, data: bytes, mime: str) -> Picture:
    """Begin an upload, or go on with it where the server says."""
    announced = {"upload_id": str(upload_id), "sha256": hashlib.sha256(data).hexdigest()}
    ack = await link.command("image.begin", **announced, bytes=len(data), mime=mime)
    if "image_id" in ack:
        return str(ack["image_id"])
    step = link.limits.get("chunk_bytes", CHUNK_BYTES)
    for offset in range(ack["offset"], len(data), step):
        await link.send_bytes(Chunk.pack(upload_id, offset, data[offset : offset + step]))
    return str((await link.command("image.end", upload_id=str(upload_id)))["image_id"])


def _cursor(cursor: Cursor | None) -> dict[str, Any]:
    return {"cursor": {"epoch": cursor.epoch, "seq": cursor.seq}} if cursor else {}


def _item(fields: Any) -> MemoryItem:
    """A memory as a server tells it; a later one may tell more."""
    return MemoryItem.model_validate(fields, extra="ignore")
