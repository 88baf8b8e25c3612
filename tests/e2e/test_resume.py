"""A socket that closes in the middle of an answer costs nothing: the rest follows from the cursor."""

import asyncio
import random
from typing import Any

import pytest

from assistant.client import Client
from assistant.domain.events import TurnDelta, TurnFinished
from tests.conftest import Server, Start
from tests.e2e.raw import Raw

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(start_session: Start) -> Server:
    return start_session("serve", "--engine", "scripted", "--scripted-delay-ms", "15")


def joined(events: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "turn.delta")


def reply_text(events: list[dict[str, Any]]) -> str:
    messages = [event["message"] for event in events if event["type"] == "message.created"]
    message = next(message for message in messages if message["role"] == "assistant")
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


@pytest.mark.parametrize("cut_after", [0, 1, 3, 6])
async def test_the_text_joins_to_the_stored_message_byte_for_byte(server: Server, cut_after: int) -> None:
    async with Raw(server.socket_url) as first:
        session = (await first.command("session.open"))["session_id"]
        submitted = await first.command(
            "turn.submit", session_id=session, client_message_id="c-1", text=f"tell me {cut_after}"
        )
        assert submitted["type"] == "ack"
        await first.until("turn.started")
        for _ in range(cut_after):
            await first.until("turn.delta")
        first.socket.transport.abort()
    seen = first.events
    cursor = {"epoch": seen[-1]["epoch"], "seq": seen[-1]["seq"]}
    async with Raw(server.socket_url) as second:
        opened = await second.command("session.open", session_id=session, cursor=cursor)
        assert opened["cursor"] == cursor
        await second.until("turn.finished")
    events = seen + second.events
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len(second.events) > 3, "the answer was not cut in the middle"
    assert joined(events).encode() == reply_text(events).encode()


async def test_the_client_comes_back_by_itself(server: Server) -> None:
    chooser = random.Random(1)
    async with Client(server.socket_url) as client:
        session = await client.open()
        for number in range(5):
            text, deltas = "", 0
            drop_at = chooser.randint(1, 5)
            async for event in session.ask(f"question {number}"):
                if isinstance(event, TurnDelta):
                    text += event.text
                    deltas += 1
                    if deltas == drop_at:
                        await client.drop()
                last = event
            assert isinstance(last, TurnFinished)
            assert last.status == "completed"
            assert text == session.messages[-1].text
        assert [message.role for message in session.messages] == ["user", "assistant"] * 5


async def test_a_message_sent_twice_is_answered_once(server: Server) -> None:
    async with Raw(server.socket_url) as client:
        session = (await client.command("session.open"))["session_id"]
        body = {"session_id": session, "client_message_id": "once", "text": "hello"}
        first = await client.command("turn.submit", **body)
        second = await client.command("turn.submit", **body)
        assert (second["turn_id"], second["duplicate"]) == (first["turn_id"], True)
        await client.until("turn.finished")
        third = await client.command("turn.submit", **body)
        assert third["turn_id"] == first["turn_id"]
        other = await client.command("turn.submit", **{**body, "text": "other"})
        assert other["code"] == "client_message_id_reused"


async def test_stop_keeps_what_was_seen(server: Server) -> None:
    async with Raw(server.socket_url) as client:
        session = (await client.command("session.open"))["session_id"]
        submitted = await client.command("turn.submit", session_id=session, client_message_id="c-1", text="go on")
        await client.until("turn.delta")
        seen = len(joined(client.events))
        stopped = await client.command("turn.cancel", turn_id=submitted["turn_id"], seen_chars=seen)
        assert stopped["type"] == "ack"
        finished = await client.until("turn.finished")
        assert finished["status"] == "cancelled"
        assert 0 < len(joined(client.events)) == len(reply_text(client.events))
        again = await client.command("turn.submit", session_id=session, client_message_id="c-2", text="and now?")
        assert again["type"] == "ack"
        assert (await client.until("turn.finished"))["status"] == "completed"


async def test_an_unknown_epoch_gets_the_whole_conversation(server: Server) -> None:
    async with Raw(server.socket_url) as client:
        session = (await client.command("session.open"))["session_id"]
        await client.command("turn.submit", session_id=session, client_message_id="c-1", text="hello")
        await client.until("turn.finished")
        await client.command("session.open", session_id=session, cursor={"epoch": "another", "seq": 3})
        snapshot = await client.until("session.snapshot")
        assert [message["role"] for message in snapshot["messages"]] == ["user", "assistant"]
        assert snapshot["seq"] == client.events[-2]["seq"]


async def test_two_devices_see_the_same_events(server: Server) -> None:
    async with Raw(server.socket_url) as one, Raw(server.socket_url) as two:
        session = (await one.command("session.open"))["session_id"]
        await two.command("session.open", session_id=session)
        await one.command("turn.submit", session_id=session, client_message_id="c-1", text="hello both")
        async with asyncio.timeout(20):
            await asyncio.gather(one.until("turn.finished"), two.until("turn.finished"))
        assert one.events == two.events


@pytest.mark.timeout(120)
async def test_a_killed_redis_loses_no_accepted_turn(start: Start) -> None:
    server = start("serve", "--engine", "scripted", "--scripted-delay-ms", "200")
    async with Raw(server.socket_url) as client:
        session = (await client.command("session.open"))["session_id"]
        await client.command("turn.submit", session_id=session, client_message_id="c-1", text="hello")
        await client.until("turn.delta")
        server.redis.kill()
        async with asyncio.timeout(60):
            await client.until("turn.finished")
        events = client.events
        numbers = [event["seq"] for event in events]
        assert numbers == sorted(set(numbers))
        again = next(i for i, event in enumerate(events) if event["type"] == "turn.started" and event["attempt"] == 2)
        assert events[again]["restart"]
        assert joined(events[again:]) == reply_text(events)
        repeated = await client.command("turn.submit", session_id=session, client_message_id="c-1", text="hello")
        assert repeated["duplicate"]
