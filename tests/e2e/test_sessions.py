"""Conversations as a whole, over the websocket of the real program: several devices, lists, export, deletion."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from assistant.client import Client, ClientError, ServerRefused, Session
from assistant.domain.events import TurnDelta, TurnFinished, TurnStarted
from assistant.domain.turns import answer_id
from tests import pictures
from tests.assistant.fakes import until
from tests.conftest import Server, Start

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(start_session: Start) -> Server:
    return start_session("serve", "--engine", "scripted", "--scripted-delay-ms", "20")


async def test_a_conversation_is_listed_renamed_and_taken_along(server: Server) -> None:
    async with Client(server.socket_url) as client, Client(server.socket_url) as other:
        picture = await client.upload(pictures.jpeg())
        session = await client.open()
        text = await session.answer("What is this?", images=[picture])
        newest = await anext(other.sessions())
        assert (newest.session_id, newest.title, newest.messages) == (session.session_id, "What is this?", 2)
        there = await other.open(session.session_id)
        assert await client.rename(session.session_id, " A  walk ") == "A walk"
        await until(lambda: there.title == "A walk")
        document = json.loads(await client.export(session.session_id))
        assert [message["role"] for message in document["messages"]] == ["user", "assistant"]
        assert (document["title"], document["turns"][0]["status"]) == ("A walk", "completed")
        assert [known["image_id"] for known in document["pictures"]] == [picture]
        markdown = await client.export(session.session_id, "markdown")
        assert markdown.startswith("# A walk\n")
        assert text in markdown


async def test_many_conversations_are_listed_page_by_page(server: Server) -> None:
    async with Client(server.socket_url) as client:
        begun = []
        for number in range(55):
            session = await client.open()
            await client.command("turn.submit", session_id=session.session_id, client_message_id="c", text=f"{number}")
            begun.append(session.session_id)
            await client.close(session)
        listed = [info.session_id async for info in client.sessions()]
        assert listed[:55] == begun[::-1]


async def test_deletion_ends_it_everywhere_at_once(start: Start, tmp_path: Path) -> None:
    slowly = ("serve", "--engine", "scripted", "--scripted-delay-ms", "200")
    server = await asyncio.to_thread(start, *slowly, "--data", str(tmp_path))
    async with Client(server.socket_url) as client, Client(server.socket_url) as other:
        before = {path for path in (tmp_path / "pictures").rglob("*") if path.is_file()}
        picture = await client.upload(pictures.jpeg(size=(61, 47)))
        assert {path for path in (tmp_path / "pictures").rglob("*") if path.is_file()} > before
        session = await client.open()
        async with asyncio.timeout(20), contextlib.aclosing(session.ask("a long story", images=[picture])) as events:
            async for event in events:
                if isinstance(event, TurnDelta):  # its pictures were read
                    break
            await other.delete(session.session_id)
            with pytest.raises(ClientError, match="deleted"):
                _ = [event async for event in events]
        assert {path for path in (tmp_path / "pictures").rglob("*") if path.is_file()} == before
        assert session.session_id not in [info.session_id async for info in client.sessions()]
        for attempt in (client.open(session.session_id), client.export(session.session_id), session.answer("more")):
            with pytest.raises(ServerRefused) as refused:
                await attempt
            assert refused.value.code == "session_not_found"


async def test_editing_and_answering_again_make_branches(server: Server) -> None:
    async with Client(server.socket_url) as client, Client(server.socket_url) as other:
        session = await client.open()
        await session.answer("first")
        await session.answer("second")
        [first, _, second, answer] = session.branch
        async for event in session.regenerate(answer.message_id):
            last = event
        assert isinstance(last, TurnFinished)
        assert [message.message_id for message in session.branch[:3]] == [
            first.message_id,
            first_answer(session),
            second.message_id,
        ]
        assert session.branch[3].message_id != answer.message_id
        await session.answer("edited", parent=first_answer(session))
        assert [message.text for message in session.branch if message.role == "user"] == ["first", "edited"]
        assert len(session.messages) == 7
        there = await other.open(session.session_id)
        await until(lambda: len(there.messages) == 7)
        assert there.branch == session.branch
        with pytest.raises(ServerRefused, match="no such message"):
            await session.answer("lost", parent="m_none")


async def test_a_message_may_follow_an_answer_that_is_being_written(server: Server) -> None:
    async with Client(server.socket_url) as client:
        session = await client.open()
        async with contextlib.aclosing(session.ask("first")) as events:
            started = await anext(event async for event in events if isinstance(event, TurnStarted))
            assert started.message_id is not None
            parent = answer_id(started.message_id, started.turn_id)
            await session.answer("second", parent=parent)
        assert [message.role for message in session.branch] == ["user", "assistant"] * 2
        assert session.branch[1].message_id == session.branch[2].parent == parent


def first_answer(session: Session) -> str:
    return next(message.message_id for message in session.messages if message.role == "assistant")
