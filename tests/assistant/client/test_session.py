"""A session alone: frames in, events out."""

import asyncio
import json
from typing import Any

import pytest

from assistant.client.errors import ClientError, ServerRefused
from assistant.client.session import Session
from assistant.domain.events import TurnDelta, TurnFinished
from assistant.ports import Cursor
from tests.assistant.fakes import answer, question

Frame = dict[str, Any]


class Sent:
    """Answers commands at once, and remembers them."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, Frame]] = []
        self.answer: Frame = {"turn_id": "t_1", "message_id": "m_1", "duplicate": False}
        self.error: Exception | None = None

    async def __call__(self, kind: str, **fields: Any) -> Frame:
        self.commands.append((kind, fields))
        if self.error is not None:
            raise self.error
        return self.answer


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def session(sent: Sent) -> Session:
    return Session("s_1", Cursor("e_1", 0), sent)


def feed(session: Session, seq: int, kind: str = "turn.delta", epoch: str = "e_1", **fields: Any) -> None:
    if kind in ("turn.delta", "turn.finished"):
        fields.setdefault("turn_id", "t_1")
    if kind == "turn.delta":
        fields.setdefault("text", f"{seq} ")
    place = {"session_id": "s_1", "epoch": epoch, "seq": seq, "at": "2026-01-31T12:00:00Z"}
    frame = {**place, "type": kind, **fields}
    session.feed(frame, json.dumps(frame))


def finish(session: Session, seq: int, turn_id: str = "t_1") -> None:
    feed(session, seq, "turn.finished", turn_id=turn_id, status="completed")


async def asking(session: Session, **asked: Any) -> "asyncio.Task[str]":
    task = asyncio.create_task(session.answer("What?", **asked))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_what_was_seen_is_dropped(session: Session) -> None:
    task = await asking(session)
    for seq in (1, 2, 2, 1, 3):
        feed(session, seq)
    finish(session, 4)
    assert await task == "1 2 3 "
    assert session.cursor == Cursor("e_1", 4)


async def test_another_epoch_counts_anew(session: Session) -> None:
    task = await asking(session)
    feed(session, 5)
    feed(session, 1, epoch="e_2")
    feed(session, 1, epoch="e_2")
    feed(session, 2, "turn.finished", epoch="e_2", status="completed")
    assert await task == "5 1 "
    assert session.cursor == Cursor("e_2", 2)


async def test_a_question_as_it_is_sent(session: Session, sent: Sent) -> None:
    task = await asking(
        session, images=["i_1"], tool="caption", arguments={"style": "alt"}, client_message_id="c-1", max_tokens=5
    )
    finish(session, 1)
    assert await task == ""
    assert sent.commands == [
        (
            "turn.submit",
            {
                "session_id": "s_1",
                "client_message_id": "c-1",
                "text": "What?",
                "images": ["i_1"],
                "options": {"max_tokens": 5},
                "tool": {"name": "caption", "arguments": {"style": "alt"}},
            },
        )
    ]


async def test_each_question_has_an_id_of_its_own(session: Session, sent: Sent) -> None:
    for seq in (1, 2):
        task = await asking(session)
        finish(session, seq)
        await task
    first, second = (fields["client_message_id"] for _, fields in sent.commands)
    assert first != second


async def test_events_of_other_turns_are_not_this_answer_s(session: Session) -> None:
    task = await asking(session)
    feed(session, 1, turn_id="t_0", text="old")
    finish(session, 2, turn_id="t_0")
    feed(session, 3, text="new")
    finish(session, 4)
    assert await task == "new"


async def test_committed_messages_are_kept(session: Session) -> None:
    message = answer("A cat.")
    feed(session, 1, "message.created", message=json.loads(message.to_json()))
    assert session.messages == [message]


async def test_a_snapshot_takes_the_place_of_what_was_known(session: Session) -> None:
    feed(session, 1, "message.created", message=json.loads(question().to_json()))
    kept = [answer("A cat."), question("And?", turn=2)]
    session.feed(
        {
            "type": "session.snapshot",
            "session_id": "s_1",
            "epoch": "e_2",
            "seq": 9,
            "messages": [json.loads(message.to_json()) for message in kept],
        },
        "",
    )
    assert session.messages == kept
    assert session.cursor == Cursor("e_2", 9)


async def test_an_answer_that_ended_in_the_snapshot_ends_for_who_asked(session: Session) -> None:
    task = await asking(session)
    messages = [json.loads(message.to_json()) for message in (question(), answer("A cat."))]
    frame = {"type": "session.snapshot", "session_id": "s_1", "epoch": "e_2", "seq": 9, "messages": messages}
    session.feed(frame, "")
    async with asyncio.timeout(0.05):
        await asyncio.gather(task, return_exceptions=True)


async def test_a_question_asked_before_does_not_wait_for_ever(session: Session, sent: Sent) -> None:
    task = await asking(session, client_message_id="c")
    feed(session, 1)
    finish(session, 2)
    await task
    sent.answer = {**sent.answer, "duplicate": True}
    async with asyncio.timeout(0.05):
        await asyncio.gather(session.answer("What?", client_message_id="c"), return_exceptions=True)


async def test_a_refused_question_is_raised(session: Session, sent: Sent) -> None:
    sent.error = ServerRefused("message_empty", "Write something.")
    with pytest.raises(ServerRefused, match="Write something"):
        await session.answer("")


async def test_a_server_that_is_gone_ends_the_answer(session: Session) -> None:
    task = await asking(session)
    feed(session, 1)
    session.fail(ClientError("No assistant answers."))
    with pytest.raises(ClientError, match="No assistant"):
        await task


async def test_leaving_early_stops_listening(session: Session) -> None:
    stream = session.ask("What?")
    pending = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    feed(session, 1)
    assert isinstance(await pending, TurnDelta)
    await stream.aclose()
    feed(session, 2)
    finish(session, 3)


async def test_the_last_event_is_the_end_of_the_turn(session: Session) -> None:
    stream = session.ask("What?")
    pending = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    finish(session, 1)
    assert isinstance(await pending, TurnFinished)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_turn_is_stopped(session: Session, sent: Sent) -> None:
    await session.cancel("t_1", 7)
    assert sent.commands == [("turn.cancel", {"turn_id": "t_1", "seen_chars": 7})]


@pytest.mark.parametrize(
    ("kind", "fields"), [("session.updated", {"title": "Cats"}), ("turn.delta", {"text": "a", "later": 1})]
)
def test_an_event_of_a_later_server_does_no_harm(session: Session, kind: str, fields: Frame) -> None:
    feed(session, 1, kind, **fields)
    feed(session, 2)
    assert session.cursor.seq == 2
