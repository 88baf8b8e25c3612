"""What a terminal shows of an answer, and what Ctrl-C does."""

import asyncio
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from assistant.client import Client, ServerRefused, Session
from assistant.domain.errors import InvalidRequest
from assistant.domain.events import (
    ErrorInfo,
    ImageUse,
    MessageCreated,
    TurnDelta,
    TurnFinished,
    TurnProgress,
    TurnStarted,
)
from assistant.gateway.wire.answers import MemoryItem
from assistant.ports.conversations import Cursor
from assistant.terminal import _taught, _told, _Turn, read_text
from tests.assistant.fakes import NOW, answer, question

STARTED = TurnStarted(turn_id="t_1", attempt=1, engine="e", model="m")


class Commands:
    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    async def __call__(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.sent.append((kind, fields))
        return {}


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def turn(commands: Commands) -> _Turn:
    return _Turn(Session("s_1", Cursor("e", 0), commands))


def finished(status: Any = "completed", **fields: Any) -> TurnFinished:
    return TurnFinished(turn_id="t_1", status=status, **fields)


def test_the_answer_goes_to_standard_output_and_the_rest_beside_it(
    turn: _Turn, capsys: pytest.CaptureFixture[str]
) -> None:
    for event in (STARTED, TurnProgress(turn_id="t_1", stage="encoding", done=0, total=1)):
        turn.show(event)
    for text in ("A ", "猫"):
        turn.show(TurnDelta(turn_id="t_1", text=text))
    turn.show(finished())
    streams = capsys.readouterr()
    assert (streams.out, streams.err) == ("A 猫\n", "")


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (finished("cancelled"), "(stopped)"),
        (finished("length"), "longest length"),
        (finished("failed", error=ErrorInfo(code="c", message="The model failed.")), "The model failed."),
        (
            finished(images=(ImageUse(image_id="i", seen=False, width=1, height=1, reason="too many"),)),
            "a picture was not looked at: too many",
        ),
        (
            finished(images=(ImageUse(image_id="i", seen=True, width=1, height=1, read="Mind\nthe step"),)),
            'read in the picture: "Mind the step"',
        ),
        (
            finished(images=(ImageUse(image_id="i", seen=True, width=1, height=1, read="long " * 90),)),
            'long long ..."',
        ),
    ],
)
def test_how_it_ended_is_said(turn: _Turn, capsys: pytest.CaptureFixture[str], end: TurnFinished, says: str) -> None:
    turn.show(end)
    streams = capsys.readouterr()
    assert says in streams.err
    assert says not in streams.out


def test_an_error_with_brackets_is_shown_as_it_is(turn: _Turn, capsys: pytest.CaptureFixture[str]) -> None:
    turn.show(finished("failed", error=ErrorInfo(code="c", message="Usage: /caption [short|alt], with a picture.")))
    assert "[short|alt]" in capsys.readouterr().err


def test_a_long_note_is_one_line(turn: _Turn, capsys: pytest.CaptureFixture[str]) -> None:
    turn.show(finished("failed", error=ErrorInfo(code="c", message="word " * 40 + "end.")))
    assert capsys.readouterr().err.count("\n") == 1


def test_an_answer_that_begins_again(turn: _Turn, capsys: pytest.CaptureFixture[str]) -> None:
    turn.show(STARTED)
    turn.show(TurnDelta(turn_id="t_1", text="A dog"))
    turn.show(TurnStarted(turn_id="t_1", attempt=2, restart=True, engine="e", model="m"))
    turn.show(TurnDelta(turn_id="t_1", text="A cat."))
    turn.show(MessageCreated(message=answer("A cat.")))
    turn.show(finished())
    assert capsys.readouterr() == ("A dog\nA cat.\n", "(the answer begins again)\n")


async def test_after_a_new_beginning_only_its_text_counts_as_seen(turn: _Turn, commands: Commands) -> None:
    turn.show(TurnDelta(turn_id="t_1", text="A dog"))
    turn.show(TurnStarted(turn_id="t_1", attempt=2, restart=True, engine="e", model="m"))
    turn.show(TurnDelta(turn_id="t_1", text="A"))
    turn.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert commands.sent == [("turn.cancel", {"turn_id": "t_1", "seen_chars": 1})]


@pytest.mark.parametrize(
    ("came", "out", "err"),
    [
        ("", "A cat.\n", ""),
        ("A c", "A cat.\n", ""),
        ("A cat.", "A cat.\n", ""),
        ("A dog", "A dog\nA cat.\n", "(the answer begins again)\n"),
    ],
)
def test_what_did_not_come_while_it_was_made_is_shown_at_the_end(
    turn: _Turn, capsys: pytest.CaptureFixture[str], came: str, out: str, err: str
) -> None:
    turn.show(TurnDelta(turn_id="t_1", text=came))
    turn.show(MessageCreated(message=answer("A cat.")))
    turn.end()
    assert capsys.readouterr() == (out, err)


async def test_ctrl_c_stops_the_turn_once_and_says_what_was_seen(turn: _Turn, commands: Commands) -> None:
    turn.show(STARTED)
    turn.show(TurnDelta(turn_id="t_1", text="A cat"))
    turn.cancel()
    turn.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert commands.sent == [("turn.cancel", {"turn_id": "t_1", "seen_chars": 5})]


async def test_ctrl_c_stops_a_turn_that_still_waits(turn: _Turn, commands: Commands) -> None:
    turn.show(MessageCreated(message=question()))
    turn.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [kind for kind, _ in commands.sent] == ["turn.cancel"]


def test_texts_are_read_from_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("naïve\n", encoding="utf-8")
    assert read_text(tmp_path / "a.txt") == "naïve\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("from a pipe"))
    assert read_text(Path("-")) == "from a pipe"
    with pytest.raises(InvalidRequest, match="No such file"):
        read_text(tmp_path / "none.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidRequest, match="not a UTF-8 text file"):
        read_text(tmp_path / "b.txt")


class Teaching(Client):
    """A client whose server remembers what it is told."""

    def __init__(self) -> None:
        super().__init__("ws://nowhere")
        self.kept: list[tuple[str, str]] = []

    async def remember(self, picture: str, text: str, *, language: str | None = None) -> MemoryItem:
        self.kept.append((picture, text))
        return _item(picture, text)

    async def memories(self) -> list[MemoryItem]:
        return [_item(*kept) for kept in self.kept]

    async def forget(self, memory: str) -> list[MemoryItem]:
        gone = [_item(*kept) for kept in self.kept if kept[1] == memory]
        if not gone:
            raise ServerRefused("memory_not_found", "Nothing of this name is remembered.")
        return gone


def _item(picture: str, text: str) -> MemoryItem:
    return MemoryItem(memory_id="k_1", text=text, language="en", image_id=picture, added_at=NOW)


async def test_a_picture_is_taught_from_the_terminal(commands: Commands, capsys: pytest.CaptureFixture[str]) -> None:
    client, session, at_hand = Teaching(), Session("s_1", Cursor("e", 0), commands), ["i_1"]
    assert await _taught(client, session, "/remember our dog Rex", at_hand)
    assert (client.kept, at_hand) == ([("i_1", "our dog Rex")], [])
    with pytest.raises(InvalidRequest, match="no picture to remember: give one with --image"):
        await _taught(client, session, "/remember a vase", [])
    session.messages += [question("What is this?", "i_2"), answer("A dog."), question("Really?")]
    assert await _taught(client, session, "/remember a vase", [])
    assert client.kept[-1] == ("i_2", "a vase")
    assert await _taught(client, session, "/memories", [])
    assert await _taught(client, session, "/forget a vase", [])
    assert not await _taught(client, session, "/caption", ["i_1"])
    assert capsys.readouterr().out == (
        "Remembered: our dog Rex\nRemembered: a vase\nen  our dog Rex\nen  a vase\nForgotten: a vase\n"
    )


async def test_what_is_refused_is_said_and_the_conversation_goes_on(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session("s_1", Cursor("e", 0), commands)
    assert await _told(Teaching(), session, "/forget a vase", [])
    assert await _told(Teaching(), session, "/remember a vase", [])
    assert await _told(Teaching(), session, "/memories", [])
    assert not await _told(Teaching(), session, "What is this?", [])
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "Nothing of this name is remembered." in streams.err
    assert "There is no picture to remember" in streams.err
    assert "nothing is remembered yet" in streams.err


def test_notes_about_an_answer_are_shown_beside_it(turn: _Turn, capsys: pytest.CaptureFixture[str]) -> None:
    turn.show(finished(notes=('Not remembered in this answer: "Rex" [x].',)))
    streams = capsys.readouterr()
    assert 'Not remembered in this answer: "Rex" [x].' in streams.err
    assert streams.out == "\n"
