"""Clients that share no code with this project talk to a real server: all of a picture's turn, cut and gone on with.

Every frame of both sides fits the published schema.
"""

import asyncio
import hashlib
import json
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
import websocket

from tests import pictures
from tests.conftest import Server, Start
from tests.frames import check_answer, check_received, check_sent

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
NODE_CLIENT = Path(__file__).with_name("client.cjs")
CUT_AFTER = 3
"""Deltas that are seen before the connection is cut."""
Frame = dict[str, Any]


@pytest.fixture(scope="module")
def server(start_session: Start) -> Server:
    return start_session("serve", "--engine", "scripted", "--scripted-delay-ms", "20")


class Transcript:
    """The frames of a client's two connections, in their order."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []
        self.received: list[Frame] = []

    def check(self) -> None:
        """It was the protocol, and the answer came whole."""
        for frame in self.sent:
            check_sent(frame)
        for frame in self.received:
            check_received(frame)
        assert [frame["type"] for frame in self.received].count("hello") == 2
        for command in self.sent:
            check_answer(command, next(f for f in self.received if f.get("id") == command["id"]))
        events = [frame for frame in self.received if "seq" in frame]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        created = [event["message"] for event in events if event["type"] == "message.created"]
        assert [part["type"] for part in created[0]["parts"]] == ["image", "text"]
        text = "".join(part["text"] for part in created[1]["parts"])
        assert "".join(event["text"] for event in events if event["type"] == "turn.delta") == text
        assert events[-1]["type"] == "turn.finished"
        assert events[-1]["status"] == "completed"
        assert [use["seen"] for use in events[-1]["images"]] == [True]
        resumed = max(index for index, frame in enumerate(self.received) if frame["type"] == "hello")
        assert any(frame["type"] == "turn.delta" for frame in self.received[resumed:]), "nothing was left to resume"


class Socket(Protocol):
    """What both Python libraries can do."""

    async def send_text(self, text: str) -> None: ...
    async def send_bytes(self, data: bytes) -> None: ...
    async def receive(self) -> str: ...


Connect = Callable[[str], AbstractAsyncContextManager[Socket]]


class AiohttpSocket:
    """A socket of aiohttp."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse[bool]") -> None:
        self._socket = socket

    async def send_text(self, text: str) -> None:
        await self._socket.send_str(text)

    async def send_bytes(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def receive(self) -> str:
        text = await self._socket.receive_str()
        assert isinstance(text, str)
        return text


@asynccontextmanager
async def connect_aiohttp(url: str) -> AsyncIterator[Socket]:
    async with aiohttp.ClientSession() as http, http.ws_connect(url, protocols=["assistant.v1"]) as socket:
        assert socket.protocol == "assistant.v1"
        yield AiohttpSocket(socket)


class WebsocketClientSocket:
    """A socket of websocket-client, which blocks."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket

    async def send_text(self, text: str) -> None:
        await asyncio.to_thread(self._socket.send_text, text)

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.to_thread(self._socket.send_bytes, data)

    async def receive(self) -> str:
        text: str = await asyncio.to_thread(self._socket.recv)
        return text


@asynccontextmanager
async def connect_websocket_client(url: str) -> AsyncIterator[Socket]:
    socket = await asyncio.to_thread(
        websocket.create_connection, url, timeout=60, subprotocols=["assistant.v1"], suppress_origin=True
    )
    try:
        yield WebsocketClientSocket(socket)
    finally:
        socket.shutdown()  # without a closing handshake


class Talk:
    """Commands and events over one socket of any library, written down."""

    def __init__(self, socket: Socket, transcript: Transcript) -> None:
        self._socket = socket
        self._transcript = transcript

    async def receive(self) -> Frame:
        frame: Frame = json.loads(await self._socket.receive())
        self._transcript.received.append(frame)
        return frame

    async def command(self, kind: str, **fields: Any) -> Frame:
        command = {"type": kind, "id": str(len(self._transcript.sent) + 1), **fields}
        self._transcript.sent.append(command)
        await self._socket.send_text(json.dumps(command))
        while True:
            frame = await self.receive()
            if command["id"] in (frame.get("id"), frame.get("command_id")):
                assert frame["type"] != "error", frame
                return frame

    async def upload(self, data: bytes) -> str:
        upload_id = uuid.uuid4()
        digest = hashlib.sha256(data).hexdigest()
        begin = {"upload_id": str(upload_id), "sha256": digest, "bytes": len(data), "mime": "image/jpeg"}
        assert (await self.command("image.begin", **begin))["offset"] == 0
        for offset in range(0, len(data), 1000):
            head = upload_id.bytes + offset.to_bytes(8, "big")
            await self._socket.send_bytes(head + data[offset : offset + 1000])
        image_id: str = (await self.command("image.end", upload_id=str(upload_id)))["image_id"]
        return image_id


async def talk(connect: Connect, url: str, picture: bytes) -> Transcript:
    """The whole way of a turn, cut in the middle of its answer."""
    transcript = Transcript()
    async with connect(url) as socket:
        first = Talk(socket, transcript)
        assert (await first.receive())["type"] == "hello"
        await first.command("auth", token=None, client={"name": "independent", "version": "1"})
        session = (await first.command("session.open"))["session_id"]
        image = await first.upload(picture)
        await first.command(
            "turn.submit", session_id=session, client_message_id="c-1", text="What is this?", images=[image]
        )
        deltas = 0
        while deltas < CUT_AFTER:
            last = await first.receive()
            deltas += last["type"] == "turn.delta"
    cursor = {"epoch": last["epoch"], "seq": last["seq"]}
    async with connect(url) as socket:
        second = Talk(socket, transcript)
        assert (await second.receive())["type"] == "hello"
        await second.command("auth", token=None)
        await second.command("session.open", session_id=session, cursor=cursor)
        while (await second.receive())["type"] != "turn.finished":
            pass
        await second.command("ping")
    return transcript


@pytest.mark.parametrize(
    ("connect", "seed"),
    [(connect_aiohttp, 1), (connect_websocket_client, 2)],
    ids=["aiohttp", "websocket-client"],
)
async def test_a_python_client(server: Server, connect: Connect, seed: int) -> None:
    transcript = await talk(connect, server.socket_url, pictures.jpeg((64, 40 + seed)))
    transcript.check()


def test_node_ws(server: Server, tmp_path: Path) -> None:
    node = shutil.which("node") or str(ROOT / ".cache" / "setup" / "node" / "node")
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(pictures.jpeg((64, 50)))
    done = subprocess.run(
        [node, str(NODE_CLIENT), server.socket_url, str(picture), str(CUT_AFTER)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    transcript = Transcript()
    for line in done.stdout.splitlines():
        direction, frame = json.loads(line)
        (transcript.sent if direction == "sent" else transcript.received).append(frame)
    transcript.check()
