"""The JSON Schema takes and refuses the same commands as the gateway, and is open where servers may say more."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from assistant.gateway.wire.reading import MalformedFrame, parse_command
from assistant.protocol.schema import json_schema, plain_words
from tests.frames import check_received, check_sent

SUBMIT = {"type": "turn.submit", "id": "1", "session_id": "s_1", "client_message_id": "c-1"}
BEGIN = {
    "type": "image.begin",
    "id": "1",
    "upload_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    "sha256": "0" * 64,
    "bytes": 5,
}
GOOD: list[dict[str, Any]] = [
    {"type": "auth", "id": "1"},
    {"type": "auth", "id": "1", "token": None, "client": {"name": "a"}, "features": ["x"]},
    {"type": "session.open", "id": "1", "session_id": "s_1", "cursor": {"epoch": "e", "seq": 0}},
    SUBMIT,
    {**SUBMIT, "text": "hi", "images": ["i_1"], "tool": {"name": "caption", "arguments": {"style": "short"}}},
    {**SUBMIT, "options": {"max_tokens": 5, "temperature": 0, "top_p": 0.5, "seed": None}},
    BEGIN,
    {"type": "memory.add", "id": "1", "image_id": "i_1", "text": "our dog", "language": "pt-BR"},
    {"type": "ping", "id": "1"},
]
BAD: list[Any] = [
    [],
    {"id": "1"},
    {"type": "ping"},
    {"type": "ping", "id": ""},
    {"type": "ping", "id": "1", "extra": 1},
    {"type": "session.fly", "id": "1"},
    {"type": "session.open", "id": "1", "cursor": {"epoch": "e", "seq": -1}},
    {"type": "session.open", "id": "1", "cursor": {"epoch": "e", "seq": 0, "more": 0}},
    {**SUBMIT, "client_message_id": "has space"},
    {**SUBMIT, "text": None},
    {**SUBMIT, "options": {"max_tokens": 0}},
    {**SUBMIT, "options": {"top_p": 0}},
    {**SUBMIT, "options": {"warmth": 1}},
    {**SUBMIT, "tool": {"arguments": {}}},
    {**BEGIN, "sha256": "ABC"},
    {**BEGIN, "upload_id": 5},
    {"type": "memory.add", "id": "1", "image_id": "i_1", "text": "our dog", "language": "!"},
]


@pytest.mark.parametrize("command", GOOD, ids=str)
def test_good_commands_are_taken_by_both(command: dict[str, Any]) -> None:
    check_sent(command)
    parse_command(json.dumps(command))


@pytest.mark.parametrize("command", BAD, ids=str)
def test_bad_commands_are_refused_by_both(command: Any) -> None:
    with pytest.raises(ValidationError):
        check_sent(command)
    with pytest.raises(MalformedFrame):
        parse_command(json.dumps(command))


def test_a_later_server_may_say_more_and_never_less() -> None:
    schema = Draft202012Validator(json_schema())
    pong = {"type": "pong", "id": "1"}
    assert schema.is_valid(pong)
    assert schema.is_valid({**pong, "at": "noon"})
    assert not schema.is_valid({"type": "pong"})
    with pytest.raises(AssertionError):
        check_received({**pong, "at": "noon"})  # of this server it would be a fault


def test_words_of_docstrings_are_plain() -> None:
    assert plain_words("A ``b``,\n    and c.\n\n    Attributes:\n        d: e.\n") == "A `b`, and c."
