"""The shell around a connection, on a real socket over fakes of the stores."""

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from assistant.bootstrap import load_prompts
from assistant.client import Client, ServerRefused
from assistant.client.link import Link
from assistant.domain.access import Scope
from assistant.domain.errors import Unavailable
from assistant.domain.limits import UNLIMITED, Allowance, Allowances, Standing, exhausted
from assistant.gateway import following as following_module
from assistant.gateway import live as live_module
from assistant.gateway import peer as peer_module
from assistant.gateway.addresses import Addresses
from assistant.gateway.assets import Assets
from assistant.gateway.auth import Authenticator
from assistant.gateway.http import HttpRequests
from assistant.gateway.live import LiveSockets
from assistant.gateway.peer import MOST_OPEN_SESSIONS, Peer, Services
from assistant.gateway.pictures import Intake
from assistant.gateway.presence import Presence
from assistant.gateway.server import listening
from assistant.gateway.unfinished import Unfinished
from assistant.gateway.wire.frame import SUBPROTOCOL
from assistant.gateway.wire.reading import Chunk
from assistant.images import DecoderPool, ImageLimits
from assistant.service.keys import Keys
from assistant.service.limits import Limits
from assistant.service.memories import Memories
from assistant.service.sessions import Sessions
from assistant.service.submissions import Submissions
from assistant.tools import all_tools
from tests import pictures
from tests.assistant.fakes import (
    NOW,
    FakeConversations,
    FakeHealth,
    FakeKeys,
    FakeLimits,
    FakeMemories,
    FakePictures,
    FixedClock,
    answer,
    question,
    until,
)

Frame = dict[str, Any]
AWAY = Unavailable("unavailable", "The store does not answer now. Try again.", retry_after=1.0)


class Gateway:
    """A gateway over fakes, on a port of its own."""

    def __init__(self, allowances: Allowances = UNLIMITED, addresses: Addresses | None = None, pace: float = 0) -> None:
        self.allowances = allowances
        self.addresses = addresses or Addresses()
        self.pace = pace
        self.conversations = FakeConversations(question("hi"), answer("A cat."))
        self.pictures = FakePictures()
        self.memories = FakeMemories()
        self.limits = FakeLimits()
        self.health = FakeHealth()
        self.keys = FakeKeys()
        self.clock = FixedClock()
        self.live = LiveSockets(self.keys, self.clock)
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        limits = Limits(self.limits, self.allowances)
        presence = Presence(limits)
        submissions = Submissions(self.conversations, self.pictures, all_tools(load_prompts()), limits)
        taught = Memories(self.memories, self.pictures, FixedClock())
        kept = Sessions(self.conversations, self.pictures, self.memories, limits)
        door = Authenticator(self.keys, self.clock)
        requests = HttpRequests(Assets(Path("/nowhere")), self.pictures, self.health, self.clock, door)
        decoders = DecoderPool(ImageLimits())

        services = Services(
            conversations=self.conversations,
            submissions=submissions,
            taught=taught,
            kept=kept,
            intake=Intake(self.pictures, decoders, limits),
            unfinished=Unfinished(),
            door=door,
            live=self.live,
            presence=presence,
            frames_per_second=self.pace,
        )

        def make_peer(socket: Any) -> Peer:
            return Peer(socket, services)

        watching = asyncio.create_task(self.live.watch())
        try:
            async with (
                contextlib.aclosing(decoders),
                presence.running(),
                listening("127.0.0.1", 0, requests, make_peer, self.addresses) as self.port,
            ):
                yield self
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def client(self, *, auth: bool = True) -> AsyncIterator["Raw"]:
        async with connect(f"ws://127.0.0.1:{self.port}/v1/ws", subprotocols=[SUBPROTOCOL], compression=None) as socket:
            raw = Raw(socket)
            raw.hello = await raw.receive()
            if auth:
                assert (await raw.command("auth"))["type"] == "ack"
            yield raw

    async def get(self, path: str, *headers: str) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = headers or (f"Host: 127.0.0.1:{self.port}",)
        writer.write(f"GET {path} HTTP/1.1\r\n".encode() + "".join(f"{h}\r\n" for h in lines).encode() + b"\r\n")
        answered = (await asyncio.wait_for(reader.read(), 5)).decode("latin-1")
        writer.close()
        await writer.wait_closed()
        return int(answered.split()[1]), answered


class Raw:
    """Sends what it is told to; answers and events come apart."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.hello: Frame = {}
        self.events: list[Frame] = []
        self._count = 0

    async def receive(self) -> Frame:
        frame: Frame = json.loads(await asyncio.wait_for(self.socket.recv(), 5))
        return frame

    async def command(self, kind: str, **fields: Any) -> Frame:
        self._count += 1
        name = str(self._count)
        await self.socket.send(json.dumps({"type": kind, "id": name, **fields}))
        while True:
            frame = await self.receive()
            if frame["type"] in ("ack", "error", "pong"):
                assert frame.get("command_id", frame.get("id")) == name
                return frame
            self.events.append(frame)

    async def upload(self, data: bytes, upload_id: str | None = None) -> Frame:
        name = upload_id or str(uuid4())
        digest = hashlib.sha256(data).hexdigest()
        begun = await self.command("image.begin", upload_id=name, sha256=digest, bytes=len(data))
        if begun["type"] == "error" or "image_id" in begun:
            return begun
        for offset in range(0, len(data), 256 * 1024):
            await self.socket.send(Chunk.pack(uuid_of(name), offset, data[offset : offset + 256 * 1024]))
        return await self.command("image.end", upload_id=name)


def uuid_of(text: str) -> Any:
    from uuid import UUID

    return UUID(text)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with Gateway().running() as running:
        yield running


def event(seq: int) -> str:
    return json.dumps({"session_id": "s_1", "epoch": "e_1", "seq": seq, "type": "turn.delta", "text": str(seq)})


async def closed(raw: Raw) -> int:
    with pytest.raises(ConnectionClosed) as gone:  # noqa: PT012
        while True:
            await raw.receive()
    assert gone.value.rcvd is not None
    return gone.value.rcvd.code


# --- Hello and auth -------------------------------------------------------------------------------------------------


async def test_hello_says_the_limits_before_anything_is_asked(gateway: Gateway) -> None:
    async with gateway.client(auth=False) as client:
        assert client.hello["type"] == "hello"
        assert client.hello["limits"] == {
            "image_bytes": 10485760,
            "image_pixels": 25000000,
            "images": 8,
            "text_chars": 100_000,
            "chunk_bytes": 262144,
        }
        assert client.socket.subprotocol == "assistant.v1"


async def test_a_wrong_token_is_answered_and_then_closed(gateway: Gateway) -> None:
    async with gateway.client(auth=False) as client:
        assert (await client.command("auth", token="SECRET"))["code"] == "auth_invalid"
        assert await closed(client) == 1008


async def test_who_does_not_authenticate_in_time_is_let_go(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "AUTH_SECONDS", 0.05)
    async with gateway.client(auth=False) as client:
        assert (await client.command("ping"))["type"] == "pong"
        assert await closed(client) == 1008
    async with gateway.client() as client:
        await asyncio.sleep(0.1)
        assert (await client.command("ping"))["type"] == "pong"


async def test_a_frame_that_is_too_large_closes_with_its_code(gateway: Gateway) -> None:
    async with gateway.client() as client:
        await client.socket.send("x" * (1024 * 1024 + 1))
        assert await closed(client) == 1009


async def test_a_restart_is_told(gateway: Gateway) -> None:
    other = Gateway()
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(other.running())
        client = await asyncio.ensure_future(_connected(running))
        await stack.aclose()
        assert await closed(client) == 1012


async def _connected(gateway: Gateway) -> Raw:
    socket = await connect(f"ws://127.0.0.1:{gateway.port}/v1/ws", subprotocols=[SUBPROTOCOL], compression=None)
    return Raw(socket)


# --- Conversations as a whole ---------------------------------------------------------------------------------------


async def test_a_list_comes_in_pages(gateway: Gateway) -> None:
    async with gateway.client() as client:
        for _ in range(3):
            await client.command("session.open")
        first = await client.command("session.list", limit=2)
        assert [info["session_id"] for info in first["sessions"]] == ["s_1", "s_2"]
        assert first["sessions"][0]["title"] == "hi"
        last = await client.command("session.list", limit=2, before=first["before"])
        assert [info["session_id"] for info in last["sessions"]] == ["s_3"]
        assert "before" not in last


async def test_titles_are_one_line_of_bounded_length(gateway: Gateway) -> None:
    async with gateway.client() as client:
        await client.command("session.open")
        renamed = await client.command("session.rename", session_id="s_1", title="  a\n cat ")
        assert (renamed["title"], gateway.conversations.titles) == ("a cat", {"s_1": "a cat"})
        for title, code in ((" \n", "title_empty"), ("x" * 201, "title_too_long")):
            assert (await client.command("session.rename", session_id="s_1", title=title))["code"] == code
        assert (await client.command("session.rename", session_id="s_9", title="t"))["code"] == "session_not_found"


async def test_every_device_is_told_of_a_deletion_and_its_tail_ends(gateway: Gateway) -> None:
    async with gateway.client() as one, gateway.client() as other:
        await one.command("session.open")
        await other.command("session.open", session_id="s_1")
        assert (await one.command("session.delete", session_id="s_1"))["type"] == "ack"
        for client in (one, other):
            assert await client.receive() == {"type": "session.deleted", "session_id": "s_1"}
            assert client.events == [], "the ack comes first"
            assert (await client.command("session.open", session_id="s_1"))["code"] == "session_not_found"
        await until(lambda: not gateway.conversations.bells)
        assert (await one.command("session.delete", session_id="s_1"))["code"] == "session_not_found"


async def test_a_closed_session_sends_nothing_more(gateway: Gateway) -> None:
    async with gateway.client() as client:
        await client.command("session.open")
        for _ in range(2):
            assert (await client.command("session.close", session_id="s_1"))["type"] == "ack"
        gateway.conversations.add("s_1", event(1))
        assert (await client.command("ping"))["type"] == "pong"
        assert client.events == []
        await client.command("session.open", session_id="s_1")
        assert (await client.receive())["seq"] == 1


async def test_an_export_comes_in_parts_of_one_document(gateway: Gateway) -> None:
    gateway.conversations.said = [question("é\x00" * 100_000), answer("A cat.")]
    async with gateway.client() as client:
        await client.command("session.open")
        parts = [await client.command("session.export", session_id="s_1", format="json")]
        while "next" in parts[-1]:
            parts.append(
                await client.command("session.export", session_id="s_1", format="json", part=parts[-1]["next"])
            )
        assert len(parts) > 1
        document = json.loads("".join(part["text"] for part in parts))
        assert document["messages"][0]["parts"][0]["text"] == "é\x00" * 100_000
        gateway.conversations.said.append(question("more"))
        again = await client.command("session.export", session_id="s_1", format="json", part=parts[0]["next"])
        assert again["code"] == "export_changed"
        wrong = await client.command("session.export", session_id="s_1", format="json", part="x")
        assert wrong["code"] == "invalid_part"
        none = await client.command("session.export", session_id="s_9", format="markdown")
        assert none["code"] == "session_not_found"


# --- Sessions -------------------------------------------------------------------------------------------------------


async def test_events_follow_the_ack_in_order(gateway: Gateway) -> None:
    gateway.conversations.add("s_1", *(event(seq) for seq in range(1, 451)))
    async with gateway.client() as client:
        opened = await client.command("session.open", session_id="s_1", cursor={"epoch": "e_1", "seq": 3})
        assert opened["cursor"] == {"epoch": "e_1", "seq": 3}
        assert client.events == []
        assert [(await client.receive())["seq"] for _ in range(447)] == list(range(4, 451))
        gateway.conversations.add("s_1", event(451))
        assert (await client.receive())["seq"] == 451


async def test_without_a_cursor_a_session_is_told_from_its_start(gateway: Gateway) -> None:
    gateway.conversations.add("s_1", event(1))
    async with gateway.client() as client:
        assert (await client.command("session.open", session_id="s_1"))["cursor"] == {"epoch": "e_1", "seq": 0}
        assert (await client.receive())["seq"] == 1


@pytest.mark.parametrize(
    "cursor", [{"epoch": "e_before", "seq": 1}, {"epoch": "e_1", "seq": 3}, {"epoch": "", "seq": 0}]
)
async def test_a_cursor_that_means_nothing_here_gets_a_snapshot(gateway: Gateway, cursor: Frame) -> None:
    gateway.conversations.add("s_1", event(1), event(2))
    async with gateway.client() as client:
        opened = await client.command("session.open", session_id="s_1", cursor=cursor)
        assert opened["cursor"] == {"epoch": "e_1", "seq": 2}
        assert client.events == []
        snapshot = await client.receive()
        assert (snapshot["type"], snapshot["epoch"], snapshot["seq"]) == ("session.snapshot", "e_1", 2)
        assert [message["role"] for message in snapshot["messages"]] == ["user", "assistant"]
        gateway.conversations.add("s_1", event(3))
        assert (await client.receive())["seq"] == 3


async def test_opening_again_moves_the_cursor_and_doubles_nothing(gateway: Gateway) -> None:
    gateway.conversations.add("s_1", event(1))
    async with gateway.client() as client:
        for _ in range(2):
            await client.command("session.open", session_id="s_1")
            assert (await client.receive())["seq"] == 1
        gateway.conversations.add("s_1", event(2))
        assert (await client.receive())["seq"] == 2
        assert (await client.command("ping"))["type"] == "pong"
        assert client.events == []
    await until(lambda: gateway.conversations.bells == [])


async def test_only_so_many_sessions_on_one_connection(gateway: Gateway) -> None:
    async with gateway.client() as client:
        for _ in range(MOST_OPEN_SESSIONS):
            assert (await client.command("session.open"))["type"] == "ack"
        assert (await client.command("session.open"))["code"] == "too_many_sessions"
        assert (await client.command("session.open", session_id="s_1"))["type"] == "ack"


async def test_a_session_that_is_not_opened_is_not_created(gateway: Gateway) -> None:
    async with gateway.client() as client:
        for _ in range(MOST_OPEN_SESSIONS + 1):
            await client.command("session.open")
        assert len(gateway.conversations.log) == MOST_OPEN_SESSIONS


async def test_a_store_that_is_away_is_said_and_the_socket_stays(gateway: Gateway) -> None:
    async with gateway.client() as client:
        session_id = (await client.command("session.open"))["session_id"]
        gateway.conversations.error = AWAY
        gateway.conversations.add(session_id, event(1))
        refused = await client.command("session.open")
        assert (refused["code"], refused["retry_after"]) == ("unavailable", 1.0)
        gateway.conversations.error = None
        gateway.conversations.add(session_id, event(2))
        assert [(await client.receive())["seq"] for _ in range(2)] == [1, 2]


async def test_what_could_not_be_read_is_looked_at_again_though_no_bell_rings(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following_module, "AGAIN_SECONDS", (0.02, 0.03))
    async with gateway.client() as client:
        session_id = (await client.command("session.open"))["session_id"]
        gateway.conversations.error = AWAY
        gateway.conversations.add(session_id, event(1))
        await asyncio.sleep(0.05)
        gateway.conversations.error = None
        assert (await client.receive())["seq"] == 1


async def test_a_tail_that_breaks_does_not_leave_its_client_waiting(gateway: Gateway) -> None:
    async with gateway.client() as client:
        session_id = (await client.command("session.open"))["session_id"]
        gateway.conversations.error = RuntimeError("a bug")
        gateway.conversations.add(session_id, event(1))
        await until(lambda: gateway.conversations.bells == [])
        gateway.conversations.error = None
        gateway.conversations.add(session_id, event(2))
        with contextlib.suppress(ConnectionClosed):
            assert (await asyncio.wait_for(client.receive(), 0.3))["seq"] == 1


# --- Turns ----------------------------------------------------------------------------------------------------------


async def test_a_turn_is_submitted_and_cancelled(gateway: Gateway) -> None:
    async with gateway.client() as client:
        session_id = (await client.command("session.open"))["session_id"]
        asked = {"session_id": session_id, "client_message_id": "c", "text": "hi", "options": {"seed": 1}}
        accepted = await client.command("turn.submit", **asked)
        assert (accepted["turn_id"], accepted["message_id"], accepted["duplicate"]) == ("t_1", "m_1", False)
        assert (await client.command("turn.submit", **asked))["duplicate"] is True
        assert (await client.command("turn.submit", **asked | {"text": "x"}))["code"] == "client_message_id_reused"
        assert (await client.command("turn.cancel", turn_id="t_1", seen_chars=4))["type"] == "ack"
        assert gateway.conversations.cancelled == [(session_id, "t_1", 4)]
        assert (await client.command("turn.cancel", turn_id="t_9"))["code"] == "turn_not_found"


async def test_a_turn_of_a_session_that_is_not_open_here_cannot_be_cancelled(gateway: Gateway) -> None:
    gateway.conversations.turns.add("t_1")
    async with gateway.client() as client:
        assert (await client.command("turn.cancel", turn_id="t_1"))["code"] == "turn_not_found"


async def test_a_tool_is_named(gateway: Gateway) -> None:
    gateway.conversations.add("s_1")
    asked: Frame = {"session_id": "s_1", "client_message_id": "c", "tool": {"name": "summarise", "arguments": {}}}
    async with gateway.client() as client:
        assert (await client.command("turn.submit", **asked))["code"] == "text_missing"
        asked["tool"]["arguments"] = {"text": "long", "length": "huge"}
        assert (await client.command("turn.submit", **asked))["code"] == "invalid_arguments"
        asked["tool"]["arguments"] = {"text": "long"}
        assert (await client.command("turn.submit", **asked))["type"] == "ack"
    tool = gateway.conversations.submitted[0].tool
    assert tool is not None
    assert tool.arguments["length"] == "medium"


# --- Pictures -------------------------------------------------------------------------------------------------------


async def test_a_picture_is_kept_once(gateway: Gateway) -> None:
    async with gateway.client() as client:
        ready = await client.upload(pictures.jpeg())
        assert (ready["width"], ready["height"], ready["resized"]) == (64, 48, False)
        stored, data = gateway.pictures.kept[ready["image_id"]]
        assert stored.sha256 == hashlib.sha256(data).hexdigest()
        assert stored.source_sha256 == hashlib.sha256(pictures.jpeg()).hexdigest()
        again = await client.upload(pictures.jpeg())
        assert again["image_id"] == ready["image_id"]
    assert len(gateway.pictures.kept) == 1
    status, body = await gateway.get(f"/v1/images/{ready['image_id']}")
    assert (status, "image/jpeg" in body) == (200, True)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(pictures.text(), "image_unsupported", id="text"),
        pytest.param(pictures.truncated_jpeg(), "image_truncated", id="truncated"),
        pytest.param(pictures.bomb_png(), "image_too_many_pixels", id="bomb"),
        pytest.param(pictures.heic(), "image_damaged", id="heic"),
        pytest.param(pictures.svg(), "image_unsupported", id="svg"),
        pytest.param(pictures.empty(), "image_empty", id="empty"),
        pytest.param(pictures.eleven_megabytes(), "image_too_large", id="11 MB"),
    ],
)
async def test_a_bad_picture_is_refused_and_the_socket_stays(gateway: Gateway, data: bytes, code: str) -> None:
    async with gateway.client() as client:
        for _ in range(5):  # an upload that failed holds no place
            refused = await client.upload(data)
            assert (refused["type"], refused["code"]) == ("error", code)
        assert (await client.command("ping"))["type"] == "pong"
    assert gateway.pictures.kept == {}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(pictures.animated_gif()[:76], id="a GIF cut short"),
        pytest.param(pictures.png_with_text("comment", "x" * 70_000), id="a PNG with a long comment"),
    ],
)
async def test_a_bad_picture_does_not_end_the_connection(gateway: Gateway, data: bytes) -> None:
    async with gateway.client() as client:
        assert (await client.upload(data))["type"] in ("ack", "error")
        assert (await client.command("ping"))["type"] == "pong"


async def test_a_client_that_was_lost_in_an_upload_goes_on_where_it_was(gateway: Gateway) -> None:
    data, name = pictures.png("RGB", (300, 300)), str(uuid4())
    begin = {"upload_id": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    half = len(data) // 2
    async with gateway.client() as client:
        assert (await client.command("image.begin", **begin))["offset"] == 0
        await client.socket.send(Chunk.pack(uuid_of(name), 0, data[:half]))
        await client.command("ping")
        client.socket.transport.abort()
    async with gateway.client() as client:
        assert (await client.command("image.begin", **begin))["offset"] == half
        await client.socket.send(Chunk.pack(uuid_of(name), half, data[half:]))
        assert "image_id" in await client.command("image.end", upload_id=name)


async def test_the_python_client_sends_no_byte_twice_that_came(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pictures.save(Image.effect_noise((1200, 1200), 90), "PNG")
    sent: list[int] = []
    send_bytes = Link.send_bytes

    async def cut_once(link: Link, frame: bytes) -> None:
        await send_bytes(link, frame)
        sent.append(Chunk.parse(frame).offset)
        if len(sent) == 3:
            await link.command("ping")  # so far the server has them
            link.abort()
            await link.closed.wait()

    monkeypatch.setattr(Link, "send_bytes", cut_once)
    async with Client(f"ws://127.0.0.1:{gateway.port}/v1/ws") as client:
        image_id = await client.upload(data, "image/png")
    assert gateway.pictures.kept[image_id][0].width == 1200
    assert len(sent) > 4
    assert sent == sorted(set(sent))


async def test_a_picture_for_which_there_is_no_room_is_refused_before_it_is_sent(gateway: Gateway) -> None:
    gateway.pictures.full = True
    async with gateway.client() as client:
        begin = {"upload_id": str(uuid4()), "sha256": "0" * 64, "bytes": 9}
        assert (await client.command("image.begin", **begin))["code"] == "picture_quota"


async def test_an_absurd_size_does_not_end_the_connection(gateway: Gateway) -> None:
    async with gateway.client() as client:
        refused = await client.command("image.begin", upload_id=str(uuid4()), sha256="0" * 64, bytes=10**35)
        assert refused["code"] == "image_too_large"


async def test_an_upload_may_begin_again_when_the_store_is_back(gateway: Gateway) -> None:
    upload_id = str(uuid4())
    async with gateway.client() as client:
        gateway.pictures.error = AWAY
        assert (await client.upload(pictures.jpeg(), upload_id))["code"] == "unavailable"
        gateway.pictures.error = None
        assert "image_id" in await client.upload(pictures.jpeg(), upload_id)


# --- Plain HTTP -----------------------------------------------------------------------------------------------------


async def test_health(gateway: Gateway) -> None:
    status, body = await gateway.get("/healthz", "Host: anything")
    assert (status, '"workers": 2' in body) == (200, True)
    gateway.health.says = "Redis does not answer"
    status, body = await gateway.get("/healthz")
    assert (status, "Redis does not answer" in body) == (503, True)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", (), 503),  # not built
        ("/nothing", (), 404),
        ("/v1/ws", (), 426),
        ("/v1/ws?x=1", (), 426),
        ("/v1/images/i_none", (), 404),
        ("/v1/images/i_none", ("Host: evil.example",), 404),
        ("/v1/images/", (), 404),
        ("/v1/images/a/b", (), 404),
        ("/v1/ws/x", (), 404),
        ("/", ("X: y",), 421),
        ("/", ("Host: 127.0.0.1", "Host: 127.0.0.1"), 421),
    ],
)
async def test_requests_that_are_no_handshake(
    gateway: Gateway, path: str, headers: tuple[str, ...], status: int
) -> None:
    assert (await gateway.get(path, *headers))[0] == status


async def test_a_store_that_is_away_is_a_503(gateway: Gateway) -> None:
    gateway.pictures.error = AWAY
    assert (await gateway.get("/v1/images/i_1"))[0] == 503


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_pages_of_other_origins_stay_out(gateway: Gateway, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{gateway.port}/v1/ws", additional_headers={"Origin": origin})
    assert refused.value.response.status_code == 403


# --- What is logged -------------------------------------------------------------------------------------------------


async def _private_talk(gateway: Gateway) -> None:
    gateway.conversations.add("s_1")
    async with gateway.client() as client:
        await client.command("turn.submit", session_id="s_1", client_message_id="c", text="SECRET-TEXT")
    async with gateway.client(auth=False) as client:
        await client.command("auth", token="SECRET-TOKEN")


@pytest.mark.parametrize(
    "level",
    [
        logging.INFO,
        pytest.param(
            logging.DEBUG,
        ),
    ],
)
async def test_no_word_and_no_token_is_logged(gateway: Gateway, caplog: pytest.LogCaptureFixture, level: int) -> None:
    with caplog.at_level(level):
        await _private_talk(gateway)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("assistant")]
    assert not [line for line in ours if "SECRET" in line]


# --- The owner's memory ---------------------------------------------------------------------------------------------


async def test_a_picture_is_taught_listed_and_forgotten(gateway: Gateway) -> None:
    async with gateway.client() as client:
        picture = await client.upload(pictures.jpeg())
        added = await client.command("memory.add", image_id=picture["image_id"], text="This is our dog Rex.")
        assert (added["type"], added["count"], added["memory"]["text"]) == ("ack", 1, "our dog Rex")
        assert set(added["memory"]) == {"memory_id", "text", "language", "image_id", "added_at"}
        assert (await client.command("memory.list"))["memories"] == [added["memory"]]
        assert (await client.command("memory.remove", memory="our dog Rex"))["removed"] == [added["memory"]]
        assert (await client.command("memory.list"))["memories"] == []


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("memory.add", {"image_id": "i_no", "text": "our dog"}, "image_not_found"),
        ("memory.add", {"image_id": "i_no", "text": " "}, "memory_text_missing"),
        ("memory.add", {"image_id": "i_no", "text": "x" * 201}, "memory_text_too_long"),
        ("memory.add", {"image_id": "i_no", "text": "our dog", "language": "no such"}, "invalid_command"),
        ("memory.add", {"text": "our dog"}, "invalid_command"),
        ("memory.remove", {"memory": "our dog"}, "memory_not_found"),
        ("memory.list", {"owner": "eve"}, "invalid_command"),
    ],
)
async def test_a_wrong_command_of_the_memory_is_refused(gateway: Gateway, kind: str, fields: Frame, code: str) -> None:
    async with gateway.client() as client:
        refused = await client.command(kind, **fields)
        assert (refused["type"], refused["code"]) == ("error", code)


async def test_the_memory_is_for_those_who_are_let_in(gateway: Gateway) -> None:
    async with gateway.client(auth=False) as client:
        assert (await client.command("memory.list"))["code"] == "auth_required"


# --- Keys, cookies, and their end -----------------------------------------------------------------------------------

PAGE = "X-Requested-With: page"


async def made(gateway: Gateway, owner: str = "anonymous", scope: Scope = "chat", days: float | None = None) -> str:
    """A key; by default of the owner of everything that the fakes keep."""
    lifetime = timedelta(days=days) if days else None
    token, _ = await Keys(gateway.keys, gateway.clock).create(owner, "laptop", (scope,), lifetime)
    return token


def lines(gateway: Gateway, *headers: str) -> tuple[str, ...]:
    return (f"Host: 127.0.0.1:{gateway.port}", *headers)


async def test_the_ack_of_auth_says_who_it_is_and_what_may_be_done(gateway: Gateway) -> None:
    async with gateway.client(auth=False) as client:
        ack = await client.command("auth", token=await made(gateway, "ada", "read", days=1))
        assert (ack["owner"], ack["scopes"], ack["expires_at"]) == ("ada", ["read"], "2026-02-01T12:00:00Z")
    async with gateway.client(auth=False) as client:
        ack = await client.command("auth")
        assert (ack["owner"], ack["scopes"], "expires_at" in ack) == ("anonymous", ["read", "chat"], False)


async def test_a_key_that_may_read_only_changes_nothing(gateway: Gateway) -> None:
    gateway.conversations.add("s_1", event(1))
    async with gateway.client(auth=False) as client:
        await client.command("auth", token=await made(gateway, scope="read"))
        assert (await client.command("session.open", session_id="s_1"))["type"] == "ack"
        assert (await client.command("memory.list"))["type"] == "ack"
        sent = {"session_id": "s_1", "client_message_id": "c-1", "text": "hi"}
        for refused in (
            await client.command("session.open"),
            await client.command("turn.submit", **sent),
            await client.command("turn.cancel", turn_id="t_1"),
            await client.command("memory.add", image_id="i_1", text="a cat"),
            await client.command("memory.remove", memory="a cat"),
            await client.upload(pictures.jpeg()),
        ):
            assert refused["code"] == "scope_missing"
            assert "scope chat" in refused["message"]
        await client.socket.send(Chunk.pack(uuid4(), 0, b"x"))
        while (frame := await client.receive())["type"] != "error":
            pass
        assert frame["code"] == "scope_missing"
    assert not gateway.conversations.submitted


async def test_a_page_logs_in_and_its_cookie_opens_pictures_and_the_socket(gateway: Gateway) -> None:
    token = await made(gateway)
    status, answered = await gateway.get("/v1/login", *lines(gateway, PAGE, f"Authorization: Bearer {token}"))
    assert status == 200
    cookie = next(line for line in answered.splitlines() if line.lower().startswith("set-cookie:"))
    pair, *attributes = cookie.split(": ", 1)[1].split("; ")
    assert pair == f"assistant-{gateway.port}={token}"
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    assert "Secure" not in attributes, "by http a browser would not keep it"
    gateway.pictures.kept |= FakePictures("i_1").kept
    away = "X-Forwarded-For: 10.0.0.1"
    assert (await gateway.get("/v1/images/i_1", *lines(gateway, away)))[0] == 404
    assert (await gateway.get("/v1/images/i_1", *lines(gateway, away, f"Cookie: {pair}")))[0] == 200
    url, headers = f"ws://127.0.0.1:{gateway.port}/v1/ws", {"Cookie": pair, "X-Forwarded-For": "10.0.0.1"}
    async with connect(url, subprotocols=[SUBPROTOCOL], additional_headers=headers) as socket:
        client = Raw(socket)
        await client.receive()
        assert (await client.command("auth"))["owner"] == "anonymous"
    status, answered = await gateway.get("/v1/logout", *lines(gateway, PAGE))
    assert (status, f"assistant-{gateway.port}=; " in answered, "Max-Age=0" in answered) == (200, True, True)


async def test_a_cookie_goes_back_by_https_where_it_came_by_https(gateway: Gateway) -> None:
    token = await made(gateway, days=1)
    headers = lines(gateway, PAGE, f"Authorization: Bearer {token}", "X-Forwarded-Proto: https")
    _, answered = await gateway.get("/v1/login", *headers)
    assert "SameSite=Strict; Secure" in answered
    assert "Max-Age=86400" in answered, "the cookie outlives its key"


async def test_a_login_that_is_wrong_keeps_nothing(gateway: Gateway) -> None:
    token = await made(gateway)
    right = f"Authorization: Bearer {token}"
    for status, headers in (
        (401, (PAGE,)),
        (401, (PAGE, "Authorization: Bearer va_wrong")),
        (401, (PAGE, f"{right}; Domain=example")),
        (401, (PAGE, right, right)),
        (400, (PAGE, f"Authorization: Bearer {'x' * 3801}")),
        (403, (right,)),
        (403, (PAGE, right, "Origin: https://evil.example")),
        (403, (PAGE, right, "Origin: null")),
    ):
        answered = await gateway.get("/v1/login", *lines(gateway, *headers))
        assert answered[0] == status, answered
        assert "set-cookie" not in answered[1].lower()
        assert token not in answered[1]
    assert (await gateway.get("/v1/logout", *lines(gateway)))[0] == 403, "any page could log one out"
    gateway.keys.error = AWAY
    assert (await gateway.get("/v1/login", *lines(gateway, PAGE, right)))[0] == 503


@pytest.mark.parametrize("silent", [False, True])
async def test_a_revoked_key_ends_what_is_open_under_it(gateway: Gateway, silent: bool) -> None:
    gateway.keys.silent = silent  # the ring may be lost
    gateway.conversations.add("s_1", event(1))
    token, other = await made(gateway), await made(gateway)
    async with gateway.client(auth=False) as client, gateway.client(auth=False) as kept, gateway.client() as nobody:
        for one, its in ((client, token), (kept, other)):
            await one.command("auth", token=its)
            await one.command("session.open", session_id="s_1")
        await gateway.keys.revoke(next(iter(gateway.keys.kept_keys)))
        assert await closed(client) == 4001
        for one in (kept, nobody):
            assert (await one.command("ping"))["type"] == "pong"
        gateway.conversations.add("s_1", event(2))
        await until(lambda: len(kept.events) >= 1)
    await until(lambda: not gateway.live._identities)


async def test_a_key_that_expires_ends_what_is_open_under_it(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "LOOK_SECONDS", 0.02)
    token = await made(gateway, days=1)
    async with gateway.client(auth=False) as client:
        await client.command("auth", token=token)
        monkeypatch.setattr(gateway.clock, "now", lambda: NOW + timedelta(days=1))
        assert await closed(client) == 4001


async def test_nobody_is_let_go_because_the_store_is_away(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "LOOK_SECONDS", 0.02)
    token = await made(gateway)
    async with gateway.client(auth=False) as client:
        await client.command("auth", token=token)
        gateway.keys.error = AWAY
        await asyncio.sleep(0.1)
        assert (await client.command("ping"))["type"] == "pong"
        gateway.keys.error = None
        await gateway.keys.revoke(next(iter(gateway.keys.kept_keys)))
        assert await closed(client) == 4001


async def test_whoever_does_not_answer_the_close_is_cut_off(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_module, "DISMISS_SECONDS", 0.05)
    token = await made(gateway)
    async with gateway.client(auth=False) as client:
        await client.command("auth", token=token)
        client.socket.transport.pause_reading()
        await gateway.keys.revoke(next(iter(gateway.keys.kept_keys)))
        await until(lambda: not gateway.live._endings and not gateway.live._identities)
        client.socket.transport.resume_reading()
        assert await closed(client) == 4001


async def test_no_token_is_in_any_log(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        token = await made(gateway)
        wrong = f"{token[:-1]}!"
        await gateway.get("/v1/login", *lines(gateway, PAGE, f"Authorization: Bearer {token}"))
        await gateway.get("/v1/images/i_1", *lines(gateway, f"Cookie: assistant-{gateway.port}={token}"))
        url = f"ws://127.0.0.1:{gateway.port}/v1/ws"
        async with Client(url, token=token) as client:
            await client.memories()
            gateway.keys.error = AWAY
        for bad in (token, wrong):
            with pytest.raises(ServerRefused):
                async with Client(url, token=bad):
                    pass
    assert token[:40] not in caplog.text


# --- Limits ---------------------------------------------------------------------------------------------------------

ALLOWED = Allowances({"turns": Allowance(10, 60.0), "pixels": Allowance(10**6, 60.0)}, sockets=1)


async def test_auth_says_what_is_left_and_news_follow() -> None:
    house = Gateway(ALLOWED)
    house.limits.left = Standing({"turns": 10}, {"turns": 0.0})
    async with house.running(), house.client(auth=False) as client:
        ack = await client.command("auth")
        assert (ack["remaining"], ack["reset"]) == ({"turns": 10}, {"turns": 0.0})
        house.limits.left = Standing({"turns": 5}, {"turns": 30.0})
        house.limits.bell.rung.set()
        assert await client.receive() == {
            "type": "limits.updated",
            "remaining": {"turns": 5},
            "reset": {"turns": 30.0},
        }


async def test_a_socket_too_many_is_told_when_to_come_back_and_closed_as_busy() -> None:
    async with Gateway(ALLOWED).running() as house, house.client(), house.client(auth=False) as second:
        refused = await second.command("auth")
        assert (refused["code"], refused["retry_after"]) == ("too_many_sockets", 5.0)
        assert await closed(second) == 1013


async def test_a_refused_message_has_its_time_and_the_socket_goes_on() -> None:
    async with Gateway(ALLOWED).running() as house, house.client() as client:
        session = (await client.command("session.open"))["session_id"]
        house.limits.error = exhausted("turns", 12.5)
        message = {"session_id": session, "client_message_id": "c-1", "text": "hi"}
        refused = await client.command("turn.submit", **message)
        assert (refused["code"], refused["retry_after"]) == ("turns_exhausted", 12.5)
        assert not house.conversations.submitted
        house.limits.error = None
        assert (await client.command("turn.submit", **message))["type"] == "ack"


async def test_a_picture_is_refused_before_its_bytes_and_its_place_is_free_again() -> None:
    data = pictures.jpeg()
    digest = hashlib.sha256(data).hexdigest()
    async with Gateway(ALLOWED).running() as house, house.client() as client:
        begin = {"sha256": digest, "bytes": len(data), "mime": "image/jpeg"}
        house.limits.error = exhausted("bytes", 3.0)
        for _ in range(6):
            refused = await client.command("image.begin", upload_id=str(uuid4()), **begin)
            assert (refused["code"], refused["retry_after"]) == ("bytes_exhausted", 3.0)
        house.limits.error = None
        upload_id = uuid4()
        assert (await client.command("image.begin", upload_id=str(upload_id), **begin))["offset"] == 0
        await client.socket.send(Chunk.pack(upload_id, 0, data))
        ready = await client.command("image.end", upload_id=str(upload_id))
        taken = [amounts for amounts, _ in house.limits.taken]
        assert taken == [
            {"bytes": len(data), "pixels": 1},
            {"pixels": ready["width"] * ready["height"] - 1},
        ]


async def test_an_upload_that_is_gone_on_with_is_paid_once_and_what_never_came_is_given_back() -> None:
    data, upload_id = pictures.jpeg(), uuid4()
    begin = {"upload_id": str(upload_id), "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    async with Gateway(ALLOWED).running() as house:
        async with house.client() as client:
            for offset in (0, 10):
                assert (await client.command("image.begin", **begin))["offset"] == offset
                await client.socket.send(Chunk.pack(upload_id, offset, data[offset : offset + 10]))
            await client.command("ping")
        async with house.client() as client:
            assert (await client.command("image.begin", **begin))["offset"] == 20
            assert (await client.command("image.end", upload_id=str(upload_id)))["code"] == "upload_incomplete"
            await client.command("image.begin", **begin)
    whole = {"bytes": len(data), "pixels": 1}
    assert [amounts for amounts, _ in house.limits.taken] == [whole, {"bytes": 20 - len(data)}, whole]


async def test_frames_that_come_too_fast_are_all_answered_in_order() -> None:
    async with Gateway(pace=100).running() as house, house.client() as client:
        start = asyncio.get_running_loop().time()
        for number in range(250):
            await client.socket.send(json.dumps({"type": "ping", "id": str(number)}))
        assert [(await client.receive())["id"] for _ in range(250)] == [str(number) for number in range(250)]
        assert asyncio.get_running_loop().time() - start > 0.3, "the pace was not kept"
