import json
import struct
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.errors import LimitReached
from assistant.domain.messages import Message, TextPart
from assistant.gateway.wire import answers, commands, frame
from assistant.gateway.wire.reading import Chunk, MalformedFrame, parse_command

UPLOAD = UUID("1b4e28ba-2fa1-11d2-883f-0016d3cca427")
SHA = "0" * 64
SUBMIT: dict[str, Any] = {"type": "turn.submit", "id": "1", "session_id": "s_1", "client_message_id": "c-1"}
BEGIN: dict[str, Any] = {"type": "image.begin", "id": "1", "upload_id": str(UPLOAD), "sha256": SHA, "bytes": 5}


def refused(frame: str | dict[str, Any]) -> MalformedFrame:
    with pytest.raises(MalformedFrame) as error:
        parse_command(frame if isinstance(frame, str) else json.dumps(frame))
    return error.value


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"type": "auth", "id": "1", "token": None, "client": {"name": "web", "version": "0.1.0"}}, commands.Auth),
        ({"type": "auth", "id": "1", "features": ["a", "b"]}, commands.Auth),
        ({"type": "session.open", "id": "2"}, commands.SessionOpen),
        (
            {"type": "session.open", "id": "2", "session_id": "s", "cursor": {"epoch": "e", "seq": 0}},
            commands.SessionOpen,
        ),
        ({"type": "session.list", "id": "3", "before": "17", "limit": 5}, commands.SessionList),
        ({"type": "session.rename", "id": "3", "session_id": "s", "title": "t"}, commands.SessionRename),
        ({"type": "session.delete", "id": "3", "session_id": "s"}, commands.SessionDelete),
        ({"type": "session.export", "id": "3", "session_id": "s", "format": "json"}, commands.SessionExport),
        ({"type": "session.close", "id": "3", "session_id": "s"}, commands.SessionClose),
        (BEGIN | {"mime": "image/jpeg"}, commands.ImageBegin),
        ({"type": "image.end", "id": "4", "upload_id": str(UPLOAD)}, commands.ImageEnd),
        (SUBMIT | {"text": "What is this?", "images": ["i_1"]}, commands.TurnSubmit),
        (SUBMIT | {"tool": {"name": "caption", "arguments": {"style": "alt"}}, "parent": "m_1"}, commands.TurnSubmit),
        (SUBMIT | {"options": {"max_tokens": 5, "temperature": 0, "top_p": 1, "seed": 3}}, commands.TurnSubmit),
        ({"type": "turn.cancel", "id": "6", "turn_id": "t_1", "seen_chars": 4}, commands.TurnCancel),
        (
            {
                "type": "turn.regenerate",
                "id": "8",
                "session_id": "s",
                "message_id": "m_1.t_1",
                "client_message_id": "c",
            },
            commands.TurnRegenerate,
        ),
        ({"type": "ping", "id": "7"}, commands.Ping),
    ],
)
def test_every_command_of_the_protocol_is_read(frame: dict[str, Any], kind: type) -> None:
    command = parse_command(json.dumps(frame))
    assert type(command) is kind
    assert command.id == frame["id"]


def test_what_is_left_out_has_its_default() -> None:
    command = parse_command(json.dumps(SUBMIT))
    assert isinstance(command, commands.TurnSubmit)
    assert (command.text, command.images, command.tool, command.parent) == ("", (), None, None)
    assert command.options.to_json() == "{}"


@pytest.mark.parametrize(
    "frame",
    ["", " ", "{", "{'a': 1}", '{"type":"ping","id":"1"}x', "nope", '{"type":"ping","id":"\\ud800"}', "NaN"],
)
def test_what_is_no_json(frame: str) -> None:
    error = refused(frame)
    assert (error.code, error.command_id) == ("malformed_json", None)


@pytest.mark.parametrize("frame", ["[" * 100_000, '{"type":"ping","id":"a","id2":' + "[" * 5_000 + "]" * 5_000 + "}"])
def test_nesting_without_end(frame: str) -> None:
    assert refused(frame).code == "frame_too_deep"


@pytest.mark.parametrize("frame", ["[]", "7", '"ping"', "null", "true"])
def test_json_that_is_no_object(frame: str) -> None:
    error = refused(frame)
    assert (error.code, error.command_id) == ("invalid_command", None)
    assert "frame" in error.message


@pytest.mark.parametrize(
    "kind", ["", "PING", "session.lost", "turn.rewind", "hello", "ack", "error", 7, None, [], {"type": "ping"}]
)
def test_unknown_commands_are_answered_by_their_id(kind: object) -> None:
    error = refused({"type": kind, "id": "9"})
    assert (error.code, error.command_id) == ("unknown_command", "9")


def test_a_frame_without_a_type() -> None:
    error = refused({"id": "9"})
    assert (error.code, error.command_id) == ("unknown_command", "9")


@pytest.mark.parametrize("name", ["", "x" * 65, 7, None, [], {}, True])
def test_an_id_that_is_none_is_not_echoed(name: object) -> None:
    error = refused({"type": "ping", "id": name})
    assert (error.code, error.command_id) == ("invalid_command", None)
    assert "id" in error.message


@pytest.mark.parametrize("name", ["1", "x" * 64, "naïve 猫", '"}{', "\n"])
def test_any_other_text_is_an_id(name: str) -> None:
    assert parse_command(json.dumps({"type": "ping", "id": name})).id == name
    assert refused({"type": "ping", "id": name, "more": 1}).command_id == name


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (SUBMIT | {"text": 5}, "text"),
        (SUBMIT | {"text": None}, "text"),
        (SUBMIT | {"images": "i_1"}, "images"),
        (SUBMIT | {"images": [5]}, "images.0"),
        (SUBMIT | {"images": ["x" * 65]}, "images.0"),
        (SUBMIT | {"client_message_id": ""}, "client_message_id"),
        (SUBMIT | {"client_message_id": "a b"}, "client_message_id"),
        (SUBMIT | {"client_message_id": "a\n"}, "client_message_id"),
        (SUBMIT | {"client_message_id": "猫"}, "client_message_id"),
        (SUBMIT | {"client_message_id": "x" * 129}, "client_message_id"),
        (SUBMIT | {"session_id": ""}, "session_id"),
        (SUBMIT | {"session_id": "x" * 65}, "session_id"),
        (SUBMIT | {"tool": "caption"}, "tool"),
        (SUBMIT | {"tool": {"name": "caption", "arguments": []}}, "tool.arguments"),
        (SUBMIT | {"tool": {"arguments": {}}}, "tool.name"),
        (SUBMIT | {"options": {"temperature": "hot"}}, "options.temperature"),
        (SUBMIT | {"options": {"max_tokens": 0}}, "options.max_tokens"),
        (SUBMIT | {"txet": "a"}, "txet"),
        (BEGIN | {"sha256": SHA.replace("0", "A")}, "sha256"),
        (BEGIN | {"sha256": SHA + "\n"}, "sha256"),
        (BEGIN | {"sha256": SHA[1:]}, "sha256"),
        (BEGIN | {"upload_id": "1"}, "upload_id"),
        (BEGIN | {"bytes": 1.5}, "bytes"),
        (BEGIN | {"bytes": "many"}, "bytes"),
        (BEGIN | {"bytes": None}, "bytes"),
        (BEGIN | {"mime": "x" * 129}, "mime"),
        ({"type": "session.open", "id": "1", "cursor": {"epoch": "e", "seq": -1}}, "cursor.seq"),
        ({"type": "session.open", "id": "1", "cursor": {"seq": 1}}, "cursor.epoch"),
        ({"type": "session.open", "id": "1", "cursor": 5}, "cursor"),
        ({"type": "turn.cancel", "id": "1", "turn_id": "t", "seen_chars": -1}, "seen_chars"),
        ({"type": "turn.cancel", "id": "1"}, "turn_id"),
        ({"type": "image.end", "id": "1"}, "upload_id"),
        ({"type": "auth", "id": "1", "token": 5}, "token"),
        ({"type": "auth", "id": "1", "token": "x" * 8193}, "token"),
        ({"type": "auth", "id": "1", "client": {"name": "x" * 65}}, "client.name"),
        ({"type": "auth", "id": "1", "features": ["x" * 65]}, "features.0"),
    ],
)
def test_a_field_that_does_not_fit_is_named(frame: dict[str, Any], field: str) -> None:
    error = refused(frame)
    assert (error.code, error.command_id) == ("invalid_command", "1")
    assert f"{field}:" in error.message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    frame = json.dumps(SUBMIT)[:-1] + f',"options":{{"temperature":{number}}}}}'
    assert refused(frame).code in ("invalid_command", "malformed_json")


def test_every_problem_is_named_but_not_the_values() -> None:
    error = refused(SUBMIT | {"text": ["SECRET-1"], "images": "SECRET-2"})
    assert "text:" in error.message
    assert "images:" in error.message
    assert "SECRET" not in error.message


def test_the_message_stays_short_however_much_is_wrong() -> None:
    assert len(refused(SUBMIT | {"images": [1] * 10_000}).message) < 10_000


def test_the_message_stays_one_line() -> None:
    message = refused({"type": "ping", "id": "1", "a\nb" * 10: 1, "x" * 5_000: 1}).message
    assert "\n" not in message
    assert len(message) < 1_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
fields = st.sampled_from(
    [
        *commands.TurnSubmit.model_fields,
        *commands.ImageBegin.model_fields,
        *commands.Auth.model_fields,
        "cursor",
        "turn_id",
    ]
)
kinds = st.sampled_from(["auth", "session.open", "image.begin", "image.end", "turn.submit", "turn.cancel", "ping", "x"])
ids = st.one_of(st.text(max_size=70), st.integers(), st.none())


@given(st.dictionaries(fields, json_values, max_size=6), kinds, ids)
def test_any_json_is_a_command_or_a_malformed_frame(frame: dict[str, Any], kind: str, name: str | int | None) -> None:
    text = json.dumps(frame | {"type": kind, "id": name}, ensure_ascii=True)
    try:
        found: str | None = parse_command(text).id
    except MalformedFrame as error:
        found = error.command_id
    assert found in (None, name)


@given(st.text())
def test_any_text_is_a_command_or_a_malformed_frame(text: str) -> None:
    with pytest.raises(MalformedFrame):
        parse_command(text)


# --- Answers ------------------------------------------------------------------------------------------------------


def test_answers_leave_out_what_is_absent() -> None:
    hello = answers.Hello(server="s", limits=answers.Limits(image_bytes=1, image_pixels=2, images=3, text_chars=4))
    assert json.loads(hello.to_json()) == {
        "type": "hello",
        "protocol": 1,
        "server": "s",
        "heartbeat_seconds": 15,
        "limits": {"image_bytes": 1, "image_pixels": 2, "images": 3, "text_chars": 4, "chunk_bytes": 262144},
    }
    assert json.loads(answers.Pong(id="3").to_json()) == {"type": "pong", "id": "3"}
    ready = answers.ImageReadyAck(id="4", image_id="i_1", width=640, height=480, resized=False, animated=False)
    assert json.loads(ready.to_json()) == {
        "type": "ack",
        "id": "4",
        "image_id": "i_1",
        "width": 640,
        "height": 480,
        "resized": False,
        "animated": False,
    }


def test_errors_carry_what_the_error_says() -> None:
    error = answers.Error.of(LimitReached("too_many", "Wait.", retry_after=2.0), "8")
    assert json.loads(error.to_json()) == {
        "type": "error",
        "command_id": "8",
        "code": "too_many",
        "message": "Wait.",
        "retry_after": 2.0,
    }
    assert "command_id" not in json.loads(answers.Error.of(LimitReached("a", "b")).to_json())


def test_a_snapshot_carries_whole_messages() -> None:
    message = Message(
        message_id="m",
        role="user",
        parts=(TextPart(text="a"),),
        turn_id="t",
        created_at=datetime(2026, 1, 31, tzinfo=UTC),
    )
    snapshot = json.loads(answers.SessionSnapshot(session_id="s", epoch="e", seq=3, messages=(message,)).to_json())
    assert (snapshot["type"], snapshot["seq"]) == ("session.snapshot", 3)
    assert Message.model_validate(snapshot["messages"][0]) == message


# --- Chunks -------------------------------------------------------------------------------------------------------


@given(st.uuids(), st.integers(0, 2**64 - 1), st.binary(min_size=1, max_size=100))
def test_a_chunk_reads_back(upload_id: UUID, offset: int, data: bytes) -> None:
    chunk = Chunk.parse(Chunk.pack(upload_id, offset, data))
    assert (chunk.upload_id, chunk.offset, bytes(chunk.data)) == (upload_id, offset, data)


def test_a_chunk_is_laid_out_as_documented() -> None:
    frame = UPLOAD.bytes + struct.pack(">Q", 0x0102) + b"abc"
    assert Chunk.pack(UPLOAD, 0x0102, b"abc") == frame
    assert Chunk.parse(frame).offset == 0x0102


@pytest.mark.parametrize("size", [1, frame.CHUNK_BYTES])
def test_chunks_at_their_bounds(size: int) -> None:
    assert len(Chunk.parse(Chunk.pack(UPLOAD, 0, bytes(size))).data) == size


@pytest.mark.parametrize("frame", [b"", b"x", bytes(24), bytes(24 + frame.CHUNK_BYTES + 1)])
def test_a_binary_frame_that_is_no_chunk(frame: bytes) -> None:
    with pytest.raises(MalformedFrame) as error:
        Chunk.parse(frame)
    assert (error.value.code, error.value.command_id) == ("invalid_chunk", None)
