"""Frames of every kind, as a real server sends them, fit the published schema: ``Raw`` checks each that it gets."""

import asyncio
import hashlib
import signal
import uuid
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from assistant.gateway.wire.frame import FRAME_BYTES
from assistant.gateway.wire.reading import Chunk
from assistant.protocol.codes import CLOSES, ERRORS
from tests import pictures
from tests.conftest import Server, Start
from tests.e2e.raw import Raw

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(start_session: Start) -> Server:
    return start_session("serve", "--engine", "scripted", "--scripted-delay-ms", "40")


async def upload(client: Raw) -> str:
    data, upload_id = pictures.jpeg(), uuid.uuid4()
    digest = hashlib.sha256(data).hexdigest()
    begun = await client.command("image.begin", upload_id=str(upload_id), sha256=digest, bytes=len(data))
    if "image_id" not in begun:
        await client.socket.send(Chunk.pack(upload_id, 0, data))
        begun = await client.command("image.end", upload_id=str(upload_id))
    image_id: str = begun["image_id"]
    return image_id


async def finished(client: Raw, count: int) -> dict[str, Any]:
    """The last event of the turn that is the ``count``th to end."""
    while True:
        ended = [event for event in client.events if event["type"] == "turn.finished"]
        if len(ended) >= count:
            return ended[count - 1]
        client.events.append(await client.receive())


async def close_code(client: Raw) -> int:
    """Read until the server closes."""
    with pytest.raises(ConnectionClosed) as closed:
        await client.until("never")
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


async def test_all_kinds_of_events_and_answers(server: Server) -> None:
    async with asyncio.timeout(60), Raw(server.socket_url) as client:
        session = (await client.command("session.open"))["session_id"]
        image = await upload(client)
        assert (await upload(client)) == image
        asked = {"session_id": session, "images": [image]}
        await client.command("turn.submit", client_message_id="c-1", text="What is this?", **asked)
        waiting = await client.command("turn.submit", client_message_id="c-2", text="/caption", **asked)
        again = await client.command("turn.submit", client_message_id="c-2", text="/caption", **asked)
        assert again == {**waiting, "id": again["id"], "duplicate": True}
        assert (await finished(client, 2))["status"] == "completed"
        stopped = await client.command("turn.submit", client_message_id="c-3", text="a long story", session_id=session)
        await client.command("turn.cancel", turn_id=stopped["turn_id"], seen_chars=0)
        assert (await finished(client, 3))["status"] == "cancelled"
        memory = (await client.command("memory.add", image_id=image, text="This is our dog Rex."))["memory"]
        assert (await client.command("memory.list"))["memories"] == [memory]
        assert (await client.command("memory.remove", memory=memory["memory_id"]))["removed"] == [memory]
        assert (await client.command("memory.remove", memory="our dog Rex"))["code"] in ERRORS
        await client.command("session.open", session_id=session, cursor={"epoch": "e_other", "seq": 5})
        snapshot = await client.until("session.snapshot")
        assert sorted(message["role"] for message in snapshot["messages"]) == ["assistant"] * 3 + ["user"] * 3
        kinds = {event["type"] for event in client.events}
    assert kinds >= {
        "message.created",
        "turn.queued",
        "turn.started",
        "turn.progress",
        "turn.delta",
        "tool.called",
        "tool.finished",
        "turn.finished",
        "session.snapshot",
    }


async def test_the_closes_that_a_client_brings_about(server: Server) -> None:
    async with Raw(server.socket_url) as client:
        await client.socket.send("x" * (FRAME_BYTES + 1))
        assert await close_code(client) == 1009
    async with Raw(server.socket_url, authenticate=False) as client:
        await client.command("auth", token="no-such-key")
        assert await close_code(client) == 1008
    async with Raw(server.socket_url) as client:
        client.socket.transport.write(b"\x81\x81\x00\x00\x00\x00\xff")  # a masked text frame that is not UTF-8
        assert await close_code(client) == 1007
    async with Raw(server.socket_url) as client:
        client.socket.transport.write(b"\x81\x01x")  # a frame that is not masked
        assert await close_code(client) == 1002
    assert {1002, 1007, 1008, 1009} <= set(CLOSES)


async def test_a_server_that_stops_says_so_and_loses_nothing(
    start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = str(tmp_path_factory.mktemp("data"))
    arguments = ("serve", "--engine", "scripted", "--scripted-delay-ms", "100", "--data", data)
    first = start(*arguments)
    async with Raw(first.socket_url) as client:
        session = (await client.command("session.open"))["session_id"]
        await client.command("turn.submit", session_id=session, client_message_id="c-1", text="a long story")
        await client.until("turn.delta")
        first.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            await client.until("turn.finished")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    assert first.process.wait(30) == 0
    second = start(*arguments)
    async with Raw(second.socket_url) as client:
        await client.command("session.open", session_id=session)
        assert (await client.until("turn.finished"))["status"] == "completed"
        message = [event for event in client.events if event["type"] == "message.created"][-1]["message"]
    assert message["role"] == "assistant"
