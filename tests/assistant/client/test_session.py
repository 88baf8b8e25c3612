"""A session alone: frames in, events out."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from assistant.client.errors import ClientError, ServerRefused
from assistant.client.session import Session
from assistant.domain.events import Event, TurnDelta, TurnFinished
from assistant.domain.messages import Message
from assistant.ports.conversations import Cursor
from tests.assistant.fakes import answer, question

Frame = dict[str, Any]


class Sent:
    """Answers commands at once, and remembers them."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, Frame]] = []
        self.answer: Frame = {"turn_id": "t_1", "message_id": "m_user1", "duplicate": False}
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


def created(session: Session, seq: int, message: Message, epoch: str = "e_1") -> None:
    feed(session, seq, "message.created", epoch=epoch, message=json.loads(message.to_json()))


def snapshot(session: Session, *messages: Message, seq: int = 9) -> None:
    kept = [json.loads(message.to_json()) for message in messages]
    frame = {"type": "session.snapshot", "session_id": "s_1", "epoch": "e_2", "seq": seq, "messages": kept}
    session.feed(frame, json.dumps(frame))


async def everything(stream: AsyncGenerator[Event]) -> list[str]:
    return [event.type async for event in stream]


async def test_a_question_asked_and_answered_before_has_its_answer_again(session: Session, sent: Sent) -> None:
    created(session, 1, question())
    created(session, 2, answer("A cat."))
    finish(session, 3)
    sent.answer = {**sent.answer, "duplicate": True}
    async with asyncio.timeout(1):
        assert await session.answer("What is this?", client_message_id="c") == "A cat."
        assert await everything(session.ask("", client_message_id="c")) == ["message.created", "turn.finished"]
    assert {kind for kind, _ in sent.commands} == {"turn.submit"}


async def test_a_question_answered_before_this_session_s_cursor_is_looked_up_in_the_log(sent: Sent) -> None:
    session = Session("s_1", Cursor("e_1", 7), sent)
    sent.answer = {**sent.answer, "duplicate": True}
    task = asyncio.create_task(everything(session.ask("What?", client_message_id="c")))
    await asyncio.sleep(0.01)
    assert sent.commands[-1] == ("session.open", {"session_id": "s_1", "cursor": {"epoch": "e_1", "seq": 0}})
    assert session.resume_from == Cursor("e_1", 0), "a lost connection would end the look-up"
    created(session, 1, question())
    feed(session, 2)
    created(session, 3, answer("A cat."))
    finish(session, 4)
    assert await asyncio.wait_for(task, 1) == ["message.created", "turn.finished"]
    assert session.cursor == session.resume_from == Cursor("e_1", 7)
    assert session.messages == [], "what was before the cursor was not asked for"


async def test_a_question_sent_twice_that_is_being_answered_is_followed(session: Session, sent: Sent) -> None:
    sent.answer = {**sent.answer, "duplicate": True}
    created(session, 1, question())
    task = await asking(session, client_message_id="c")
    feed(session, 2)
    finish(session, 3)
    assert await asyncio.wait_for(task, 1) == "2 "
    assert [kind for kind, _ in sent.commands] == ["turn.submit"]


async def test_an_answer_in_a_snapshot(session: Session) -> None:
    task = await asking(session)
    feed(session, 1, text="A c")
    snapshot(session, question(), answer("A cat."))
    assert await asyncio.wait_for(task, 1) == "A cat."


async def test_a_turn_that_is_not_answered_in_a_snapshot_is_looked_up_and_goes_on(session: Session, sent: Sent) -> None:
    task = await asking(session)
    feed(session, 1, text="A c")
    snapshot(session, question())
    await asyncio.sleep(0.01)
    assert sent.commands[-1] == ("session.open", {"session_id": "s_1", "cursor": {"epoch": "e_2", "seq": 0}})
    created(session, 1, question(), epoch="e_2")
    created(session, 10, answer("A cat."), epoch="e_2")
    feed(session, 11, "turn.finished", epoch="e_2", status="completed")
    assert await asyncio.wait_for(task, 1) == "A cat."


async def test_a_turn_that_failed_before_a_snapshot_ends(session: Session) -> None:
    stream = session.ask("What?")
    pending = asyncio.ensure_future(everything(stream))
    await asyncio.sleep(0.01)
    snapshot(session, question())
    await asyncio.sleep(0.01)
    feed(session, 2, "turn.finished", epoch="e_2", status="failed")
    assert await asyncio.wait_for(pending, 1) == ["turn.finished"]


async def test_a_question_that_the_server_has_lost(session: Session) -> None:
    task = await asking(session)
    snapshot(session)
    with pytest.raises(ClientError, match="lost this message"):
        await asyncio.wait_for(task, 1)


async def test_a_text_that_is_void_is_not_in_the_answer(session: Session) -> None:
    task = await asking(session)
    feed(session, 1, text="A dog")
    feed(session, 2, "turn.started", turn_id="t_1", attempt=2, restart=True, engine="e", model="m")
    feed(session, 3, text="A c")
    feed(session, 4, "turn.started", turn_id="t_1", attempt=3, restart=False, engine="e", model="m")
    feed(session, 5, text="at.")
    finish(session, 6)
    assert await asyncio.wait_for(task, 1) == "A cat."


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


async def test_fields_of_a_later_server_are_passed_over_wherever_they_are(session: Session) -> None:
    task = await asking(session)
    message = json.loads(answer("A cat.").to_json())
    message["parts"][0]["language"] = "en"
    feed(session, 1, "message.created", message={**message, "edited": False})
    feed(session, 2, "turn.finished", status="completed", images=[], cost={"cents": 1})
    assert await asyncio.wait_for(task, 1) == "A cat."
    frame = {"type": "session.snapshot", "session_id": "s_1", "epoch": "e_1", "seq": 3, "messages": [message], "x": 1}
    session.feed(frame, json.dumps(frame))
    assert [kept.text for kept in session.messages] == ["A cat."]


def test_a_frame_without_a_place_is_passed_over(session: Session) -> None:
    session.feed({"type": "session.renamed", "session_id": "s_1"}, "{}")
    assert session.cursor == Cursor("e_1", 0)


async def test_an_event_that_cannot_be_read_is_told_to_who_waits_for_it(session: Session) -> None:
    task = await asking(session)
    feed(session, 1, "turn.finished", status="perhaps")
    with pytest.raises(ClientError, match=r"turn\.finished that this client cannot read"):
        await asyncio.wait_for(task, 1)
