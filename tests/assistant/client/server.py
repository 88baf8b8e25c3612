"""A small server of the protocol, whose answers a test chooses."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Frame = dict[str, Any]
Answer = Callable[[Frame, "Conversation"], Awaitable[Frame | None]]
LIMITS = {"image_bytes": 5, "chunk_bytes": 50_000}
HELLO = {"type": "hello", "protocol": 1, "server": "s", "heartbeat_seconds": 15, "limits": LIMITS}


class Conversation:
    """One socket, as the server sees it."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def event(self, seq: int, kind: str = "turn.delta", epoch: str = "e_1", **fields: Any) -> None:
        fields.setdefault("turn_id", "t_1")
        if kind == "turn.delta":
            fields.setdefault("text", f"{seq} ")
        place = {"session_id": "s_1", "epoch": epoch, "seq": seq, "at": "2026-01-31T12:00:00.000000Z"}
        await self.send(**place, type=kind, **fields)

    async def finish(self, seq: int, **fields: Any) -> None:
        await self.event(seq, "turn.finished", **{"status": "completed", "images": [], **fields})


class Server:
    """Answers every command with an ack, unless ``answers`` has something for its type.

    Attributes:
        commands: what was received, in order.
        chunks: binary frames.
        sockets: the sockets open now.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.commands: list[Frame] = []
        self.chunks: list[bytes] = []
        self.sockets: list[Conversation] = []
        self.greeting: str | bytes | None = json.dumps(HELLO)
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    def received(self, kind: str) -> list[Frame]:
        return [command for command in self.commands if command["type"] == kind]

    def says(self, kind: str, **fields: Any) -> None:
        """Answer a command with these fields, or with an error where there is a ``code``."""

        async def answer(command: Frame, _: Conversation) -> Frame:
            if "code" in fields:
                return {"type": "error", "command_id": command["id"], **fields}
            return {"type": "ack", "id": command["id"], **fields}

        self.answers[kind] = answer

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        self.says("session.open", session_id="s_1", cursor={"epoch": "e_1", "seq": 0})
        self.says("turn.submit", turn_id="t_1", message_id="m_1", duplicate=False)
        async with serve(self._handle, "127.0.0.1", 0, compression=None) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield self
            server.close(code=1001)

    async def _handle(self, socket: ServerConnection) -> None:
        self.connections += 1
        talk = Conversation(socket)
        self.sockets.append(talk)
        try:
            if self.greeting is None:
                await socket.close(1013, "busy")
                return
            await socket.send(self.greeting)
            async for frame in socket:
                await self._take(frame, talk)
        except ConnectionClosed:
            pass
        finally:
            self.sockets.remove(talk)

    async def _take(self, frame: str | bytes, talk: Conversation) -> None:
        if isinstance(frame, bytes):
            self.chunks.append(frame)
            return
        command: Frame = json.loads(frame)
        self.commands.append(command)
        answering = self.answers.get(command["type"])
        kind = "pong" if command["type"] == "ping" else "ack"
        answer = await answering(command, talk) if answering else {"type": kind, "id": command["id"]}
        if answer is not None:
            await talk.socket.send(json.dumps(answer))


async def soon(work: Awaitable[Any]) -> None:
    """Do something after the answer that is being made has gone out."""

    async def later() -> None:
        await asyncio.sleep(0.005)
        await work

    _LATER.append(asyncio.ensure_future(later()))


_LATER: list["asyncio.Future[None]"] = []
