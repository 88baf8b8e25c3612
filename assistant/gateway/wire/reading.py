"""Reads what clients send: text frames, which are commands, and binary frames, which are pieces of pictures."""

import struct
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from assistant.domain.errors import InvalidRequest
from assistant.gateway.shape import check_shape
from assistant.gateway.wire.commands import AnyCommand
from assistant.gateway.wire.frame import CHUNK_BYTES, CommandId

MOST_PROBLEMS = 5
"""So many wrong fields are named in one error."""
_COMMAND: TypeAdapter[AnyCommand] = TypeAdapter(Annotated[AnyCommand, Field(discriminator="type")])


class MalformedFrame(InvalidRequest):
    """A frame that is no command; ``command_id`` is there when it could be read all the same."""

    def __init__(self, code: str, message: str, command_id: str | None = None) -> None:
        super().__init__(code, message)
        self.command_id = command_id


def parse_command(text: str) -> AnyCommand:
    """Read a text frame.

    Raises:
        MalformedFrame: not JSON, too deep or too wide, no such command, or fields that do not fit, of which the message
            names the first.
    """
    try:
        check_shape(text)
    except InvalidRequest as error:
        raise MalformedFrame(error.code, error.message, _command_id(text)) from error
    try:
        return _COMMAND.validate_json(text)
    except ValidationError as error:
        raise _malformed(text, error) from error


def _malformed(text: str, error: ValidationError) -> MalformedFrame:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    kind = problems[0]["type"]
    if kind == "json_invalid":
        return MalformedFrame("malformed_json", "This frame is not JSON.")
    command_id = _command_id(text)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return MalformedFrame("unknown_command", "There is no command of this type.", command_id)
    told = "; ".join(f"{_field(problem['loc'])}: {problem['msg']}" for problem in problems[:MOST_PROBLEMS])
    more = f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
    return MalformedFrame("invalid_command", f"This command does not fit: {told}{more}.", command_id)


def _field(location: tuple[int | str, ...]) -> str:
    """The name of a field, on one line and of bounded length: unknown names are the client's own text."""
    name = ".".join(str(part) for part in location[1:]) or "frame"
    return name.encode("unicode_escape").decode()[:64]


class _Identified(BaseModel):
    id: CommandId


def _command_id(text: str) -> str | None:
    try:
        return _Identified.model_validate_json(text).id
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a picture."""

    upload_id: UUID
    offset: int
    data: memoryview

    _HEAD = struct.Struct(">16sQ")

    @classmethod
    def parse(cls, frame: bytes) -> "Chunk":
        """Read a binary frame. Raises ``MalformedFrame`` when it is too short or too long."""
        if not cls._HEAD.size < len(frame) <= cls._HEAD.size + CHUNK_BYTES:
            raise MalformedFrame(
                "invalid_chunk",
                f"A binary frame is {cls._HEAD.size} bytes of upload id and offset, then 1 to {CHUNK_BYTES} bytes.",
            )
        upload_id, offset = cls._HEAD.unpack_from(frame)
        return cls(UUID(bytes=upload_id), offset, memoryview(frame)[cls._HEAD.size :])

    @classmethod
    def pack(cls, upload_id: UUID, offset: int, data: bytes) -> bytes:
        """Write a binary frame."""
        return cls._HEAD.pack(upload_id.bytes, offset) + data
