"""The client against a real socket: what it sends, and how it comes back."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from websockets.asyncio.client import ClientConnection

from assistant.client import Client, ClientError, ServerRefused, Standing
from assistant.client import client as client_module
from assistant.client import link as link_module
from assistant.client.link import Link, keep_alive
from assistant.gateway.wire.reading import Chunk
from assistant.ports.conversations import Cursor
from tests.assistant.client.server import HELLO, Conversation, Frame, Server, soon
from tests.assistant.fakes import until


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server().running() as running:
        yield running


@contextlib.asynccontextmanager
async def connected(server: Server, **options: Any) -> AsyncIterator[Client]:
    async with asyncio.timeout(10), Client(server.url, **{"patience": 2.0} | options) as client:
        yield client


async def link_to(server: Server) -> Link:
    return await Link.open(server.url, None, lambda *_: None)


# --- Connecting -----------------------------------------------------------------------------------------------------


async def test_the_first_word_is_auth(server: Server) -> None:
    async with connected(server, token="key"):
        first = server.commands[0]
        assert (first["type"], first["token"], first["client"]["name"]) == ("auth", "key", "python")
    await until(lambda: server.sockets == [])


async def test_the_limits_of_the_server_are_known(server: Server) -> None:
    link = await link_to(server)
    assert link.limits == HELLO["limits"]
    await link.close()


async def test_what_is_left_is_known_and_follows_the_news(server: Server) -> None:
    server.says("auth", remaining={"turns": 9, "later": {}}, reset={"turns": 6.0})
    async with connected(server) as client:
        assert client.standing == Standing({"turns": 9}, {"turns": 6.0})
        await server.sockets[0].send(type="limits.updated", remaining="no numbers", reset=None)
        await server.sockets[0].send(type="limits.updated", remaining={"turns": 5}, reset={"turns": 30.0})
        await until(lambda: client.standing == Standing({"turns": 5}, {"turns": 30.0}))
        server.says("auth")  # a server without limits
        await client.drop()
        await client.command("memory.list")
        assert client.standing == Standing({}, {})


async def test_not_let_in(server: Server) -> None:
    async def refuse(command: Frame, talk: Conversation) -> Frame:
        await soon(talk.socket.close(1008))
        return {"type": "error", "command_id": command["id"], "code": "auth_invalid", "message": "No such token."}

    server.answers["auth"] = refuse
    with pytest.raises(ServerRefused, match="No such token") as refused:
        async with connected(server, token="x"):
            pass
    assert refused.value.code == "auth_invalid"
    await until(lambda: server.sockets == [])


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1/v1/ws", "http://127.0.0.1:1", "nonsense", ""])
async def test_nobody_there(url: str) -> None:
    with pytest.raises(ClientError, match="No assistant answers at"):
        async with Client(url):
            pass


@pytest.mark.parametrize("greeting", ['{"type":"welcome"}', "{}"])
async def test_a_server_of_another_protocol(server: Server, greeting: str) -> None:
    server.greeting = greeting
    with pytest.raises(ClientError, match="does not speak"):
        async with connected(server):
            pass


@pytest.mark.parametrize("greeting", ["[]", "hello", b"\xff", None, '{"type":"hello"}'])
async def test_a_server_that_says_something_else(server: Server, greeting: str | bytes | None) -> None:
    server.greeting = greeting
    with pytest.raises(ClientError):
        async with connected(server):
            pass


async def test_a_server_that_says_why_it_does_not_serve(server: Server) -> None:
    server.greeting = None
    with pytest.raises(ClientError, match="busy"):
        await link_to(server)
    await until(lambda: server.sockets == [])


@pytest.mark.parametrize("silent", ["greeting", "auth"])
async def test_a_server_that_is_silent(server: Server, monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    monkeypatch.setattr(link_module, "OPEN_SECONDS", 0.05)

    async def say_nothing(*_: Any) -> None:
        return None

    if silent == "auth":
        server.answers["auth"] = say_nothing
    else:
        server.greeting = ""
        monkeypatch.setattr(ClientConnection, "recv", lambda _: asyncio.sleep(60))
    with pytest.raises(ClientError, match="does not answer"):
        await link_to(server)
    await until(lambda: server.sockets == [])


async def test_a_connection_lost_while_authenticating(server: Server) -> None:
    async def cut(_: Frame, talk: Conversation) -> None:
        talk.socket.transport.abort()

    server.answers["auth"] = cut
    with pytest.raises(ClientError, match="closed the connection"):
        await link_to(server)


async def test_frames_that_are_none_of_this_protocol_are_passed_over(server: Server) -> None:
    async with connected(server) as client:
        for frame in ("[]", "not JSON", "{}", '{"type":5}', b"\x00\xff", '{"type":"news","session_id":["s"]}'):
            await server.sockets[0].socket.send(frame)
        assert (await client.command("ping"))["type"] == "pong"
        assert server.connections == 1


# --- Commands -------------------------------------------------------------------------------------------------------


async def test_answers_find_their_commands_in_any_order(server: Server) -> None:
    held: list[Frame] = []

    async def hold(command: Frame, talk: Conversation) -> None:
        held.append(command)
        if len(held) == 3:
            for one in reversed(held):
                await talk.send(type="ack", id=one["id"], turn=one["turn_id"])

    server.answers["turn.cancel"] = hold
    async with connected(server) as client:
        answers = await asyncio.gather(*(client.command("turn.cancel", turn_id=name) for name in "abc"))
    assert [found["turn"] for found in answers] == ["a", "b", "c"]


async def test_an_error_is_raised_with_all_it_says(server: Server) -> None:
    server.says("turn.cancel", code="busy", message="Wait a little.", retry_after=2.5)
    async with connected(server) as client:
        with pytest.raises(ServerRefused, match="Wait a little") as refused:
            await client.command("turn.cancel", turn_id="t")
    assert (refused.value.code, refused.value.message, refused.value.retry_after) == ("busy", "Wait a little.", 2.5)


async def test_an_answer_nobody_waits_for_does_no_harm(server: Server) -> None:
    async with connected(server) as client:
        await server.sockets[0].send(type="ack", id="999")
        await server.sockets[0].send(type="error", code="x", message="y")
        assert (await client.command("ping"))["type"] == "pong"


async def test_a_command_whose_answer_was_lost_is_sent_again(server: Server) -> None:
    async def lose_once(command: Frame, talk: Conversation) -> Frame | None:
        if len(server.received("turn.cancel")) == 1:
            talk.socket.transport.abort()
            return None
        return {"type": "ack", "id": command["id"]}

    server.answers["turn.cancel"] = lose_once
    async with connected(server) as client:
        await client.command("turn.cancel", turn_id="t_1")
    assert [command["turn_id"] for command in server.received("turn.cancel")] == ["t_1", "t_1"]
    assert server.connections == 2


# --- Pictures -------------------------------------------------------------------------------------------------------


async def test_a_picture_goes_in_pieces(server: Server) -> None:
    data = bytes(range(250)) * 400 + b"x"
    server.says("image.begin", offset=0)
    server.says("image.end", image_id="i_1", width=1, height=1, resized=False)
    async with connected(server) as client:
        assert await client.upload(data, "image/png") == "i_1"
    begin = server.received("image.begin")[0]
    assert (begin["bytes"], begin["mime"]) == (len(data), "image/png")
    chunks = [Chunk.parse(frame) for frame in server.chunks]
    assert [chunk.offset for chunk in chunks] == [0, 50_000, 100_000]
    assert b"".join(bytes(chunk.data) for chunk in chunks) == data
    assert {chunk.upload_id for chunk in chunks} == {UUID(begin["upload_id"])}


async def test_a_known_picture_is_not_sent_again(server: Server) -> None:
    server.says("image.begin", image_id="i_7", width=1, height=1, resized=False)
    async with connected(server) as client:
        assert await client.upload(b"data") == "i_7"
    assert (server.chunks, server.received("image.end")) == ([], [])


async def test_a_refused_picture(server: Server) -> None:
    server.says("image.begin", offset=0)
    server.says("image.end", code="image_unreadable", message="This cannot be read.")
    async with connected(server) as client:
        with pytest.raises(ServerRefused, match="cannot be read"):
            await client.upload(b"data")


async def test_an_upload_that_was_cut_off_goes_on_where_the_server_says(server: Server) -> None:
    async def cut_once(command: Frame, talk: Conversation) -> Frame | None:
        if len(server.received("image.begin")) == 1:
            talk.socket.transport.abort()
            return None
        return {"type": "ack", "id": command["id"], "offset": 2}

    server.answers["image.begin"] = cut_once
    server.says("image.end", image_id="i_1", width=1, height=1, resized=False)
    async with connected(server) as client:
        assert await client.upload(b"data") == "i_1"
    first, second = server.received("image.begin")
    assert first["upload_id"] == second["upload_id"]
    [chunk] = [Chunk.parse(frame) for frame in server.chunks]
    assert (chunk.offset, bytes(chunk.data)) == (2, b"ta")


# --- Sessions and coming back -----------------------------------------------------------------------------------------


def answer_in_parts(server: Server, *, drop_after: int | None = None, total: int = 6) -> None:
    """Deltas 1 to ``total``, from the cursor each session is opened with; drops the socket once, if asked to."""
    dropped: list[bool] = []

    async def play(talk: Conversation, after: int) -> None:
        for seq in range(after + 1, total + 1):
            await talk.event(seq)
            if seq == drop_after and not dropped:
                dropped.append(True)
                await asyncio.sleep(0.02)
                talk.socket.transport.abort()
                return
        await talk.finish(total + 1)

    async def submit(command: Frame, talk: Conversation) -> Frame:
        await soon(play(talk, 0))
        return {"type": "ack", "id": command["id"], "turn_id": "t_1", "message_id": "m_1", "duplicate": False}

    async def open_(command: Frame, talk: Conversation) -> Frame:
        cursor = command.get("cursor", {"epoch": "e_1", "seq": 0})
        if dropped:
            await soon(play(talk, cursor["seq"] - 1))  # one comes twice: delivery is at least once
        return {"type": "ack", "id": command["id"], "session_id": "s_1", "cursor": cursor}

    server.answers["turn.submit"] = submit
    server.answers["session.open"] = open_


async def test_an_answer(server: Server) -> None:
    answer_in_parts(server)
    async with connected(server) as client:
        session = await client.open()
        assert await session.answer("What?") == "1 2 3 4 5 6 "
        assert session.cursor == Cursor("e_1", 7)


@pytest.mark.parametrize("drop_after", range(1, 7))
async def test_an_answer_through_a_lost_connection(server: Server, drop_after: int) -> None:
    answer_in_parts(server, drop_after=drop_after)
    async with connected(server) as client:
        session = await client.open()
        assert await session.answer("What?") == "1 2 3 4 5 6 "
    assert server.received("session.open")[1]["cursor"] == {"epoch": "e_1", "seq": drop_after}
    assert len(server.received("turn.submit")) == 1


async def test_a_known_session_from_its_start_and_from_a_cursor(server: Server) -> None:
    async def open_(command: Frame, talk: Conversation) -> Frame:
        cursor = command.get("cursor", {"epoch": "e_1", "seq": 0})
        await talk.event(cursor["seq"] + 1)  # may come before the ack is read
        return {"type": "ack", "id": command["id"], "session_id": "s_1", "cursor": cursor}

    server.answers["session.open"] = open_
    async with connected(server) as client:
        session = await client.open("s_1")
        assert "cursor" not in server.received("session.open")[0]
        assert session.cursor == Cursor("e_1", 1)
        session = await client.open("s_1", Cursor("e_1", 5))
        assert server.received("session.open")[1]["cursor"] == {"epoch": "e_1", "seq": 5}
        await until(lambda: session.cursor == Cursor("e_1", 6))


async def test_a_session_that_is_not_there(server: Server) -> None:
    server.says("session.open", code="session_not_found", message="There is no such conversation.")
    async with connected(server) as client:
        with pytest.raises(ServerRefused):
            await client.open("s_nobody")
        await client.drop()
        await until(lambda: server.connections == 2)
        assert (await client.command("ping"))["type"] == "pong"
    assert len(server.received("session.open")) == 1, "a session that was refused is opened again"


async def test_a_dropped_link_comes_back_by_itself(server: Server) -> None:
    async with connected(server) as client:
        for expected in (2, 3, 4):
            await client.drop()
            assert (await client.command("ping"))["type"] == "pong"
            assert server.connections == expected


async def test_patience_ends() -> None:
    server = Server()
    async with asyncio.timeout(10), contextlib.AsyncExitStack() as stack:
        running = contextlib.AsyncExitStack()
        await running.enter_async_context(server.running())
        client = await stack.enter_async_context(Client(server.url, patience=0.2))
        session = await client.open()
        asking = asyncio.create_task(session.answer("What?"))
        await until(lambda: bool(server.received("turn.submit")))
        await running.aclose()
        with pytest.raises(ClientError, match="No assistant answers at"):
            await asking
        with pytest.raises(ClientError, match="No assistant answers at"):
            await client.command("ping")


async def test_a_store_that_is_away_while_it_comes_back_is_waited_for(server: Server) -> None:
    async with connected(server) as client:
        await client.open()

        async def not_yet(command: Frame, _: Conversation) -> Frame:
            if len(server.received("session.open")) <= 2:
                refusal = {"code": "unavailable", "message": "Try again.", "retry_after": 0.01}
                return {"type": "error", "command_id": command["id"], **refusal}
            return {
                "type": "ack",
                "id": command["id"],
                "session_id": "s_1",
                "cursor": {"epoch": "e_1", "seq": 0},
            }

        server.answers["session.open"] = not_yet
        await client.drop()
        await until(lambda: len(server.received("session.open")) >= 3, seconds=1.5)


async def test_one_session_that_is_gone_does_not_end_the_others(server: Server) -> None:
    async def open_(command: Frame, _: Conversation) -> Frame:
        if command.get("session_id") == "s_gone" and server.connections > 1:
            return {"type": "error", "command_id": command["id"], "code": "session_not_found", "message": "Gone."}
        name = command.get("session_id", "s_1")
        return {"type": "ack", "id": command["id"], "session_id": name, "cursor": {"epoch": "e_1", "seq": 0}}

    server.answers["session.open"] = open_
    async with connected(server) as client:
        await client.open("s_gone")
        await client.open("s_1")
        await client.drop()
        await until(lambda: server.connections == 2)
        opened = [command for command in server.received("session.open") if command["session_id"] == "s_1"]
        assert "cursor" not in opened[0]
        await until(lambda: server.received("session.open")[-1].get("cursor") is not None)
        await asyncio.sleep(0.05)
        opened = [command for command in server.received("session.open") if command["session_id"] == "s_1"]
        assert len(opened) == 2, "nobody follows this session any more"


async def test_a_session_may_be_opened_while_the_client_comes_back(server: Server) -> None:
    held = asyncio.Event()
    async with connected(server) as client:
        await client.open("s_1")

        async def slowly(command: Frame, _: Conversation) -> Frame:
            await held.wait()
            cursor = {"epoch": "e_1", "seq": 0}
            return {"type": "ack", "id": command["id"], "session_id": command["session_id"], "cursor": cursor}

        server.answers["session.open"] = slowly
        await client.drop()
        await until(lambda: len(server.received("session.open")) == 2)
        opening = asyncio.create_task(client.open("s_2"))
        await asyncio.sleep(0.01)
        held.set()
        await opening
        await asyncio.sleep(0.01)
        for expected in (3, 4):  # it still comes back
            await client.drop()
            await until(lambda expected=expected: server.connections == expected, seconds=1.0)  # type: ignore[misc]


async def test_being_let_in_is_waited_for(server: Server) -> None:
    async def not_yet(command: Frame, _: Conversation) -> Frame:
        if len(server.received("auth")) <= 3:
            refusal = {"code": "unavailable", "message": "Try again.", "retry_after": 0.01}
            return {"type": "error", "command_id": command["id"], **refusal}
        return {"type": "ack", "id": command["id"], "owner": "o"}

    async with connected(server) as client:
        server.answers["auth"] = not_yet
        await client.drop()
        assert (await client.command("ping"))["type"] == "pong"
    assert len(server.received("auth")) == 4


async def test_not_being_let_in_any_more_ends_the_client_at_once(server: Server) -> None:
    async with connected(server, patience=60) as client:
        session = await client.open()
        asking = asyncio.create_task(session.answer("What?"))
        await until(lambda: bool(server.received("turn.submit")))
        server.says("auth", code="auth_invalid", message="No such token.")
        await client.drop()
        for work in (asking, client.command("ping")):
            with pytest.raises(ServerRefused, match="No such token"):
                await asyncio.wait_for(work, 2)
    assert len(server.received("auth")) == 2


async def test_patience_ends_with_a_server_that_stays_unready(server: Server) -> None:
    async with connected(server, patience=0.2) as client:
        await client.open()
        server.says("session.open", code="unavailable", message="Try again.", retry_after=0.01)
        await client.drop()
        with pytest.raises(ClientError, match="No assistant answers at"):
            await client.command("ping")


async def test_who_asked_in_a_session_that_is_gone_is_told(server: Server) -> None:
    async with connected(server) as client:
        session = await client.open()
        asking = asyncio.create_task(session.answer("What?"))
        await until(lambda: bool(server.received("turn.submit")))
        server.says("session.open", code="session_not_found", message="There is no such conversation.")
        await client.drop()
        with pytest.raises(ServerRefused, match="no such conversation"):
            await asyncio.wait_for(asking, 2)
        await client.drop()
        assert (await client.command("ping"))["type"] == "pong"
    assert len(server.received("session.open")) == 2, "a session that is gone is opened again"


async def test_a_session_whose_first_opening_was_lost_is_opened_as_it_was_asked_for(server: Server) -> None:
    async def lose_once(command: Frame, talk: Conversation) -> Frame | None:
        if len(server.received("session.open")) == 1:
            talk.socket.transport.abort()
            return None
        return {"type": "ack", "id": command["id"], "session_id": "s_1", "cursor": {"epoch": "e_1", "seq": 0}}

    server.answers["session.open"] = lose_once
    async with connected(server) as client:
        await client.open("s_1")
    assert ["cursor" in command for command in server.received("session.open")] == [False, False]


async def test_a_session_opened_again_is_the_later_one_s(server: Server) -> None:
    async with connected(server) as client:
        session = await client.open("s_1")
        asking = asyncio.create_task(session.answer("What?"))
        await until(lambda: bool(server.received("turn.submit")))
        await client.open("s_1")
        with pytest.raises(ClientError, match="opened again"):
            await asyncio.wait_for(asking, 2)


async def test_a_session_that_could_not_be_opened_again_stays_as_it_was(server: Server) -> None:
    answer_in_parts(server)
    async with connected(server) as client:
        session = await client.open("s_1")
        answering = server.answers["session.open"]
        server.says("session.open", code="busy", message="Later.")
        with pytest.raises(ServerRefused):
            await client.open("s_1")
        server.answers["session.open"] = answering
        assert await session.answer("What?") == "1 2 3 4 5 6 "


async def test_who_waits_is_told_that_the_client_was_closed(server: Server) -> None:
    async with connected(server) as client:
        session = await client.open()
        asking = asyncio.create_task(session.answer("What?"))
        await until(lambda: bool(server.received("turn.submit")))
        await asyncio.sleep(0.01)
    for work in (asking, client.command("ping")):
        with pytest.raises(ClientError, match="This client is closed"):
            await asyncio.wait_for(work, 2)


async def test_an_error_of_its_own_is_not_silent(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a mistake")

    async with connected(server) as client:
        monkeypatch.setattr(client, "_connect", fail)
        await client.drop()
        with pytest.raises(ClientError, match="a mistake"):
            await client.command("ping")
    assert "error of its own" in caplog.text


# --- Heartbeat ------------------------------------------------------------------------------------------------------


async def test_the_client_pings(server: Server) -> None:
    link = await link_to(server)
    pinging = asyncio.create_task(keep_alive(link, 0.01))
    await until(lambda: len(server.received("ping")) >= 3)
    await link.close()
    await asyncio.wait_for(pinging, 5)


async def test_a_server_that_does_not_answer_pings_is_dropped(server: Server) -> None:
    async def silence(_: Frame, __: Conversation) -> None:
        return None

    server.answers["ping"] = silence
    link = await link_to(server)
    await asyncio.wait_for(keep_alive(link, 0.02), 5)
    assert link.closed.is_set()


async def test_a_silent_server_is_left_for_a_new_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "HEARTBEAT_SECONDS", 0.02)

    async def silence_once(command: Frame, _: Conversation) -> Frame | None:
        return {"type": "pong", "id": command["id"]} if server.connections > 1 else None

    server.answers["ping"] = silence_once
    async with connected(server):
        await until(lambda: server.connections >= 2)


async def test_events_of_unknown_sessions_are_passed_over(server: Server) -> None:
    async with connected(server) as client:
        await server.sockets[0].event(1)
        await server.sockets[0].send(type="limits.updated", remaining=1)
        assert (await client.command("ping"))["type"] == "pong"
        assert json.dumps(server.connections) == "1"


# --- The owner's memory ---------------------------------------------------------------------------------------------


async def test_pictures_are_taught_listed_and_forgotten(server: Server) -> None:
    item = {"memory_id": "k_1", "text": "our dog Rex", "language": "en", "image_id": "i_1"}
    item["added_at"] = "2026-01-31T12:00:00Z"
    server.says("memory.add", memory={**item, "later": "fields"}, count=1)
    server.says("memory.list", memories=[item])
    server.says("memory.remove", removed=[item])
    async with connected(server) as client:
        kept = await client.remember("i_1", "This is our dog Rex.")
        assert (kept.memory_id, kept.text, kept.added_at.year) == ("k_1", "our dog Rex", 2026)
        await client.remember("i_1", "unser Hund", language="de")
        assert await client.memories() == [kept]
        assert await client.forget("our dog Rex") == [kept]
    first, second = server.received("memory.add")
    assert (first["image_id"], first["text"], "language" in first) == ("i_1", "This is our dog Rex.", False)
    assert second["language"] == "de"
    assert server.received("memory.remove")[0]["memory"] == "our dog Rex"


async def test_what_is_refused_of_a_memory_is_said(server: Server) -> None:
    server.says("memory.add", code="too_many_memories", message="500 pictures are remembered already.")
    async with connected(server) as client:
        with pytest.raises(ServerRefused, match="500 pictures are remembered already"):
            await client.remember("i_1", "our dog")
