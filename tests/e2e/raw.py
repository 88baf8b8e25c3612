"""A client that sends exactly what it is told to: for what no honest client does.

It holds every frame that it gets against the published schema.
"""

import json
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from assistant.gateway.wire.frame import SUBPROTOCOL
from tests.frames import check_answer, check_received


class Raw:
    """A socket with counted command ids. Use as an asynchronous context manager."""

    def __init__(self, url: str, *, authenticate: bool = True) -> None:
        self._url = url
        self._authenticate = authenticate
        self._count = 0
        self.socket: ClientConnection
        self.events: list[dict[str, Any]] = []

    async def __aenter__(self) -> "Raw":
        self.socket = await connect(self._url, subprotocols=[SUBPROTOCOL], compression=None, max_size=None)
        self.hello = await self.receive()
        if self._authenticate:
            await self.command("auth", token=None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def command(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a command; its answer. Events that come before are kept in ``events``."""
        self._count += 1
        command_id = str(self._count)
        command = {"type": kind, "id": command_id, **fields}
        await self.socket.send(json.dumps(command))
        while True:
            frame = await self.receive()
            if command_id in (frame.get("id"), frame.get("command_id")):
                check_answer(command, frame)
                return frame
            self.events.append(frame)

    async def receive(self) -> dict[str, Any]:
        """The next frame."""
        frame: dict[str, Any] = json.loads(await self.socket.recv())
        check_received(frame)
        return frame

    async def until(self, kind: str) -> dict[str, Any]:
        """Receive up to the next event of a kind."""
        while True:
            frame = await self.receive()
            self.events.append(frame)
            if frame["type"] == kind:
                return frame
