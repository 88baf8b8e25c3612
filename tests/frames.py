"""Holds frames of a real server against the published JSON Schema, closed: a field that it lacks is a fault here."""

from collections import defaultdict
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from assistant.protocol import frames
from assistant.protocol.schema import REFERENCE, json_schema


def check_sent(frame: dict[str, Any]) -> None:
    """A command of an honest client fits the schema."""
    _validator("ClientFrame").validate(frame)


def check_received(frame: dict[str, Any]) -> None:
    """What a server sent is a frame of its type."""
    _check(frame, _by_type()[frame["type"]])


def check_answer(command: dict[str, Any], answer: dict[str, Any]) -> None:
    """What answered a command is its ack, or an error that names it."""
    if answer["type"] == "error":
        assert answer["command_id"] == command["id"]
        return _check(answer, ["Error"])
    assert answer["id"] == command["id"]
    return _check(answer, _answers()[command["type"]])


def _check(frame: dict[str, Any], names: list[str]) -> None:
    assert any(_validator(name).is_valid(frame) for name in names), f"{frame} is none of {names}"


@cache
def _validator(name: str) -> Draft202012Validator:
    schema = json_schema()
    for definition in schema["$defs"].values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    return Draft202012Validator(
        {"$ref": REFERENCE + name, "$defs": schema["$defs"]}, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


@cache
def _by_type() -> dict[str, list[str]]:
    found = defaultdict(list)
    for model in frames.sent_by_servers():
        found[frames.frame_type(model)].append(model.__name__)
    return found


@cache
def _answers() -> dict[str, list[str]]:
    return {
        frames.frame_type(command): [answer.__name__ for answer in answers]
        for command, answers in frames.commands().items()
    }
