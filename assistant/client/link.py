"""One socket: commands and their answers, events as they come. Knows nothing of sessions; when it drops, it is over."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from assistant.client.errors import ClientError, ServerRefused
from assistant.gateway.wire import SUBPROTOCOL

_ANSWERS = ("ack", "error", "pong")


class Link:
    """A connected, authenticated socket. Make it with ``Link.open``; ``closed`` is set when it has dropped."""

    def __init__(self, socket: ClientConnection, on_event: Callable[[dict[str, Any], str], None]) -> None:
        self._socket = socket
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()
        self.limits: dict[str, int] = {}

    @classmethod
    async def open(cls, url: str, token: str | None, on_event: Callable[[dict[str, Any], str], None]) -> "Link":
        """Connect and authenticate.

        Raises:
            ClientError: nobody answers there, or somebody who speaks another protocol.
            ServerRefused: not let in.
        """
        try:
            socket = await connect(
                url,
                subprotocols=[SUBPROTOCOL],
                compression=None,
                max_size=None,
                open_timeout=10,
            )
        except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
            raise ClientError(f"No assistant answers at {url}: {error}") from error
        link = cls(socket, on_event)
        hello = json.loads(await socket.recv())
        if hello.get("type") != "hello":
            await socket.close()
            raise ClientError(f"{url} does not speak the protocol of this client.")
        link.limits = hello["limits"]
        link._reader = asyncio.create_task(link._read(), name="link")
        await link.command("auth", token=token, client={"name": "python", "version": "1"})
        return link

    async def command(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a command and wait for its answer.

        Raises:
            ServerRefused: the answer is an error.
            ConnectionClosed: the socket dropped before the answer: whether it was carried out is not known.
        """
        command_id = str(next(self._ids))
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[command_id] = answer
        try:
            await self._socket.send(json.dumps({"type": kind, "id": command_id, **fields}))
            return await answer
        finally:
            self._answers.pop(command_id, None)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        await self._socket.send(data)

    def abort(self) -> None:
        """Drop the connection without a word, as a network does."""
        self._socket.transport.abort()

    async def close(self) -> None:
        """Close the socket."""
        await self._socket.close()
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                frame = json.loads(text)
                if frame["type"] in _ANSWERS:
                    self._resolve(frame)
                else:
                    self._on_event(frame, str(text))
        except ConnectionClosed:
            pass
        finally:
            self.closed.set()
            dropped = ConnectionClosed(self._socket.protocol.close_rcvd, None)
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(dropped)

    def _resolve(self, frame: dict[str, Any]) -> None:
        answer = self._answers.get(frame.get("command_id") or frame.get("id") or "")
        if answer is None or answer.done():
            return
        if frame["type"] == "error":
            answer.set_exception(ServerRefused(frame["code"], frame["message"], frame.get("retry_after")))
        else:
            answer.set_result(frame)


async def keep_alive(link: Link, seconds: float) -> None:
    """Ping until the link drops; a silent server counts as dropped after as long again."""
    while not link.closed.is_set():
        await asyncio.sleep(seconds)
        try:
            async with asyncio.timeout(seconds):
                await link.command("ping")
        except (TimeoutError, ConnectionClosed):
            await link.close()
