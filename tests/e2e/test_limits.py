"""Limits of a real server: refused before the ack, true to the second, and never against what was accepted before."""

import asyncio

import pytest

from assistant.client import Client, ServerRefused
from assistant.domain.events import TurnFinished
from tests import pictures
from tests.conftest import Start
from tests.e2e.raw import Raw

pytestmark = pytest.mark.e2e
SCRIPT = ("serve", "--engine", "scripted", "--scripted-delay-ms", "1")


async def test_a_refusal_is_before_the_ack_and_true(start: Start) -> None:
    server = start(*SCRIPT, "--turns-per-minute", "60")
    async with asyncio.timeout(60), Raw(server.socket_url) as client:
        session = (await client.command("session.open"))["session_id"]
        accepted = {}
        for number in range(200):
            message = {"session_id": session, "client_message_id": f"c-{number}", "text": "hi"}
            answer = await client.command("turn.submit", **message)
            if answer.get("code") == "too_many_turns":
                await client.until("turn.finished")
            elif answer["type"] == "error":
                break
            else:
                accepted[number] = answer["turn_id"]
        assert answer["code"] == "turns_exhausted"
        assert 0 < answer["retry_after"] <= 1.1
        assert len(accepted) >= 60
        first = min(accepted)
        again = await client.command("turn.submit", session_id=session, client_message_id=f"c-{first}", text="hi")
        assert (again["type"], again["turn_id"], again["duplicate"]) == ("ack", accepted[first], True)
        told = [event for event in client.events if event["type"] == "limits.updated"]
        assert told
        assert all(0 <= event["remaining"]["turns"] < 60 for event in told)
        await client.until("turn.finished")
        other = (await client.command("session.open"))["session_id"]
        await asyncio.sleep(answer["retry_after"])
        assert (await client.command("turn.submit", **{**message, "session_id": other}))["type"] == "ack"


async def test_an_answer_gives_back_what_it_did_not_generate(start: Start) -> None:
    server = start(*SCRIPT, "--tokens-per-hour", "1000")
    async with asyncio.timeout(60), Client(server.socket_url) as client:
        session = await client.open()
        assert client.standing.remaining["tokens"] == 1000
        for _ in range(3):  # of 512 tokens in advance each
            events = [event async for event in session.ask("hello")]
            assert isinstance(events[-1], TurnFinished)
            assert events[-1].status == "completed"
        with pytest.raises(ServerRefused, match=r"at most 1000 are allowed") as refused:
            await anext(aiter(session.ask("hello", max_tokens=2000)))
        assert refused.value.retry_after is None
        with pytest.raises(ServerRefused, match=r"generated tokens for now\. .* in \d+ min\.$") as later:
            await anext(aiter(session.ask("hello", max_tokens=1000)))
        assert later.value.code == "tokens_exhausted"
        assert later.value.retry_after is not None


async def test_pictures_and_sockets_have_limits_too(start: Start) -> None:
    server = start(*SCRIPT, "--megapixels-per-hour", "1", "--sockets-per-owner", "2")
    async with asyncio.timeout(60), Client(server.socket_url) as client, Raw(server.socket_url):
        await client.upload(pictures.jpeg(size=(800, 800)))
        with pytest.raises(ServerRefused) as refused:
            await client.upload(pictures.jpeg(size=(800, 801)))
        assert refused.value.code == "pixels_exhausted"
        assert refused.value.retry_after is not None
        async with Raw(server.socket_url, authenticate=False) as third:
            assert (await third.command("auth"))["code"] == "too_many_sockets"
