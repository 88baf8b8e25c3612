"""One socket: commands and their answers, events as they come. Knows nothing of sessions; when it drops, it is over.

What is not understood is passed over: a later server may say more than this client knows.
"""

import asyncio
import itertools
import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from assistant.client.errors import ClientError, ServerRefused
from assistant.domain.limits import Standing
from assistant.gateway.wire.frame import CLOSE_REVOKED, SUBPROTOCOL

log = logging.getLogger(__name__)
_frames = logging.getLogger("assistant.client.websockets")
_frames.addFilter(
    lambda record: record.levelno > logging.DEBUG
)  # there frames are logged, with tokens and what is said
OPEN_SECONDS = 10.0
"""So long may it take to connect, and again to be let in."""
CLOSE_SECONDS = 2.0
"""A server that does not answer a close in this time is left."""
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
        self.limits: dict[str, Any] = {}
        self.standing = Standing({}, {})

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
                open_timeout=OPEN_SECONDS,
                close_timeout=CLOSE_SECONDS,
                logger=_frames,
            )
        except InvalidStatus as error:
            raise _turned_away(url, error) from error
        except (OSError, WebSocketException, ValueError) as error:  # ValueError: of a URL that is none
            raise ClientError(f"No assistant answers at {url}: {error}") from error
        link = cls(socket, on_event)
        try:
            await link._enter(url, token)
        except BaseException:
            await link.close()
            raise
        return link

    async def _enter(self, url: str, token: str | None) -> None:
        """Read the server's greeting and authenticate. Raises as ``open``."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                self.limits = _limits(url, _object(await self._socket.recv()))
                self._reader = asyncio.create_task(self._read(), name="link")
                await self.command("auth", token=token, client={"name": "python", "version": "1"})
        except TimeoutError as error:
            raise ClientError(f"{url} takes connections, but does not answer.") from error
        except ConnectionClosed as error:
            raise ClientError(f"{url} closed the connection: {error}") from error

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

    @property
    def is_revoked(self) -> bool:
        """Whether the server closed it for good: the token holds no longer."""
        return self._socket.close_code == CLOSE_REVOKED

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
                frame = _object(text)
                self.standing = _standing(frame) or self.standing
                if frame.get("type") in _ANSWERS:
                    self._resolve(frame)
                elif isinstance(text, str) and isinstance(frame.get("type"), str):
                    self._on_event(frame, text)
                else:
                    log.info("a frame without a type was passed over")
        except ConnectionClosed:
            pass
        finally:
            self._socket.transport.abort()  # by then closed, unless an event broke the reader
            self.closed.set()
            dropped = ConnectionClosed(self._socket.protocol.close_rcvd, None)
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(dropped)

    def _resolve(self, frame: dict[str, Any]) -> None:
        answer = self._answers.get(str(frame.get("command_id") or frame.get("id")))
        if answer is None or answer.done():
            return
        if frame["type"] == "error":
            answer.set_exception(_refusal(frame))
        else:
            answer.set_result(frame)


def _object(text: str | bytes) -> dict[str, Any]:
    """A frame as a JSON object; an empty one where it is none."""
    try:
        frame = json.loads(text)
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}


def _limits(url: str, hello: dict[str, Any]) -> dict[str, Any]:
    limits = hello.get("limits")
    if hello.get("type") != "hello" or not isinstance(limits, dict):
        raise ClientError(f"{url} does not speak the protocol of this client.")
    return limits


def _standing(frame: dict[str, Any]) -> Standing | None:
    """What a frame says is left of the owner's limits: the ack of ``auth``, or news. None where it says nothing."""
    match frame:
        case {"type": "ack" | "limits.updated", "remaining": dict(remaining), "reset": dict(reset)}:
            return Standing(_numbers(remaining), _numbers(reset))
    return None


def _numbers(fields: dict[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in fields.items() if isinstance(value, int | float)}


def _turned_away(url: str, error: InvalidStatus) -> ClientError:
    """What an answer in place of a handshake means: 429 is too many connections from here (RFC 6585)."""
    if error.response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
        return ClientError(f"No assistant answers at {url}: {error}")
    after = error.response.headers.get("Retry-After", "")
    return ServerRefused(
        "too_many_connections",
        "The server has as many connections from this address as it takes. Close some.",
        float(after) if after.isdecimal() else 1.0,
    )


def _refusal(frame: dict[str, Any]) -> ServerRefused:
    retry_after = frame.get("retry_after")
    return ServerRefused(
        str(frame.get("code", "unknown")),
        str(frame.get("message", "The server refused.")),
        float(retry_after) if isinstance(retry_after, int | float) else None,
    )


async def keep_alive(link: Link, seconds: float) -> None:
    """Ping until the link drops; a silent server counts as dropped after as long again."""
    while not link.closed.is_set():
        await asyncio.sleep(seconds)
        try:
            async with asyncio.timeout(seconds):
                await link.command("ping")
        except ServerRefused:
            pass  # an answer all the same
        except (TimeoutError, ConnectionClosed):
            await link.close()
