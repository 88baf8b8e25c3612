"""Conversations as documents: JSON is whole, Markdown reads well."""

import json
from datetime import UTC, datetime

import pytest

from assistant.domain.errors import NotFound, Unavailable
from assistant.domain.events import ErrorInfo, Event, MessageCreated, Place, PlacedEvent, TurnFinished
from assistant.domain.limits import UNLIMITED
from assistant.domain.messages import Message, ToolCallPart, ToolResultPart
from assistant.ports.conversations import Dropped, Record
from assistant.service.export import as_json, as_markdown, messages_of
from assistant.service.limits import Limits
from assistant.service.sessions import Sessions
from tests.assistant.fakes import (
    NOW,
    OWNER,
    FakeConversations,
    FakeLimits,
    FakeMemories,
    FakePictures,
    answer,
    question,
)

CALL = ToolCallPart(name="caption", arguments={"style": "alt"})
FAILED = TurnFinished(turn_id="t_2", status="failed", error=ErrorInfo(code="x", message="Try again."))


def record(*events: Event) -> Record:
    places = (Place(session_id="s_1", epoch="e_1", seq=seq, at=NOW) for seq in range(1, 100))
    placed = tuple(PlacedEvent(place=place, event=event) for place, event in zip(places, events, strict=False))
    return Record("s_1", "A cat", datetime(2026, 1, 31, 12, tzinfo=UTC), placed)


def whole() -> Record:
    result = ToolResultPart(name="caption", result={"text": "``` a cat"})
    told = Message(
        message_id="m_3", role="assistant", parts=(CALL, result), turn_id="t_3", created_at=NOW, parent="m_user3"
    )
    return record(
        MessageCreated(message=question("What is this?", "i_1")),
        MessageCreated(message=answer("**A cat.**")),
        TurnFinished(turn_id="t_1", status="completed"),
        MessageCreated(message=question("And now?", turn=2)),
        FAILED,
        MessageCreated(message=question("", "i_1", turn=3, tool=CALL).model_copy(update={"parent": "m_user2.t_2"})),
        MessageCreated(message=told),
        TurnFinished(turn_id="t_3", status="cancelled"),
    )


async def test_json_holds_all_that_is_kept() -> None:
    kept = whole()
    picture = await FakePictures("i_1").get(OWNER, "i_1")
    document = json.loads(as_json(kept, [picture]))
    assert [Message.model_validate(message) for message in document["messages"]] == messages_of(kept)
    assert [(turn["turn_id"], turn["status"]) for turn in document["turns"]] == [
        ("t_1", "completed"),
        ("t_2", "failed"),
        ("t_3", "cancelled"),
    ]
    assert document["turns"][1]["error"]["message"] == "Try again."
    assert document["pictures"] == [
        {
            "image_id": "i_1",
            "sha256": "sha-i_1",
            "source_sha256": "source-i_1",
            "width": 64,
            "height": 48,
            "resized": False,
            "animated": False,
        }
    ]
    assert {name: document[name] for name in ("format", "version", "session_id", "title", "created_at")} == {
        "format": "vlbm-assistant.conversation",
        "version": 1,
        "session_id": "s_1",
        "title": "A cat",
        "created_at": "2026-01-31T12:00:00Z",
    }


def test_markdown_reads_from_top_to_bottom() -> None:
    kept = whole()
    text = as_markdown(kept)
    assert text.startswith(
        "# A cat\n\nBegun 2026-01-31 12:00 UTC.\n\n## You, 2026-01-31 12:00 UTC\n\n*Picture `i_1`, 64"
    )
    order = [
        "What is this?",
        "**A cat.**",
        "And now?",
        "> Failed: Try again.",
        "Tool `caption`",
        "````json",
        "> Stopped",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text.count("> ") == 2


def test_markdown_has_the_newest_branch_and_says_that_there_are_others() -> None:
    edited = question("What was it?", turn=2).model_copy(update={"parent": None})
    first = [MessageCreated(message=question("What is this?")), MessageCreated(message=answer())]
    kept = record(*first, MessageCreated(message=edited))
    text = as_markdown(kept)
    assert "What is this?" not in text
    assert "What was it?" in text
    assert "Other branches have 2 more messages" in text
    assert len(json.loads(as_json(kept, []))["messages"]) == 3


async def test_deletion_forgets_the_pictures_that_only_it_needed() -> None:
    conversations, pictures = FakeConversations(), FakePictures("i_1", "i_2")
    session, _ = await conversations.create(OWNER)
    await pictures.use(OWNER, session, ["i_1"])
    sessions = Sessions(conversations, pictures, FakeMemories(), Limits(FakeLimits(), UNLIMITED))
    await sessions.delete(OWNER, session)
    assert set(pictures.kept) == {"i_2"}
    with pytest.raises(NotFound):
        await sessions.delete(OWNER, session)


async def test_deletion_settles_the_turns_that_it_ends() -> None:
    conversations, limits = FakeConversations(), FakeLimits()
    sessions = Sessions(conversations, FakePictures(), FakeMemories(), Limits(limits, UNLIMITED))
    conversations.dropped = Dropped(begun=("t_1",), waiting=("t_2", "t_3"))
    session, _ = await conversations.create(OWNER)
    await sessions.delete(OWNER, session)
    assert limits.settled == [("t_1", None, False), ("t_2", 0, True), ("t_3", 0, True)]
    limits.error = Unavailable("unavailable", "away", retry_after=1.0)
    session, _ = await conversations.create(OWNER)
    await sessions.delete(OWNER, session)  # it is gone; what is not settled comes back by itself
