"""Frames of the websocket protocol, version 1: the commands of clients, and the answers of the server.

Pure. Session events are not here: they come from ``domain.events`` and pass through as stored. Every text frame is one
JSON object with ``type``; a command carries ``id`` and is answered by exactly one ``ack`` or ``error`` that names it.
A binary frame is a piece of a picture: 16 bytes upload id (RFC 9562 UUID), 8 bytes offset (big-endian), data.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from websockets.typing import Subprotocol

from assistant.domain.access import Scope
from assistant.domain.errors import AssistantError, InvalidRequest
from assistant.domain.limits import Resource
from assistant.domain.memories import Memory
from assistant.domain.messages import Message
from assistant.domain.sessions import SessionInfo
from assistant.domain.turns import TurnOptions
from assistant.gateway.shape import check_shape

SUBPROTOCOL = Subprotocol("assistant.v1")
PROTOCOL = 1
HEARTBEAT_SECONDS = 15
CHUNK_BYTES = 256 * 1024
FRAME_BYTES = 1024 * 1024

MOST_PROBLEMS = 5
"""So many wrong fields are named in one error."""

CLOSE_POLICY = 1008
CLOSE_INTERNAL = 1011
CLOSE_RESTART = 1012
CLOSE_BUSY = 1013
CLOSE_REVOKED = 4001

CommandId = Annotated[str, Field(min_length=1, max_length=64)]
_MESSAGE_ID = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
_CLIENT_MESSAGE_ID = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
_SESSION_ID = Annotated[str, Field(min_length=1, max_length=64)]


class Frame(BaseModel):
    """A frame. Unknown fields of a command are an error that names them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        return self.model_dump_json(exclude_none=True)


# --- Commands -------------------------------------------------------------------------------------------------------


class Command(Frame):
    """A command; ``id`` is the client's."""

    id: CommandId


class ClientInfo(Frame):
    name: Annotated[str, Field(max_length=64)]
    version: Annotated[str, Field(max_length=64)] = ""


class Auth(Command):
    """Who is there. Must come first, within 10 s.

    ``token`` is an API key or a JSON Web Token; null is the cookie or ``Authorization`` of the handshake, and without
    these anonymous.
    """

    type: Literal["auth"]
    token: Annotated[str, Field(max_length=8192)] | None = None
    client: ClientInfo | None = None
    features: tuple[Annotated[str, Field(max_length=64)], ...] = ()


class CursorFrame(Frame):
    epoch: Annotated[str, Field(max_length=64)]
    seq: Annotated[int, Field(ge=0, lt=2**53)]


class SessionOpen(Command):
    """Open a session; without ``session_id`` a new one.

    Its events follow from ``cursor``; without one, from the beginning.
    """

    type: Literal["session.open"]
    session_id: _SESSION_ID | None = None
    cursor: CursorFrame | None = None


class SessionList(Command):
    """The owner's conversations that have a message, the last used first.

    The next page is had with the ack's ``before``; the last one has none. A page may be shorter than its ``limit``.
    """

    type: Literal["session.list"]
    before: Annotated[str, Field(max_length=64)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class SessionRename(Command):
    """Give a conversation a title: kept on one line, at most 200 characters.

    Until then it is the first words of the first message.
    """

    type: Literal["session.rename"]
    session_id: _SESSION_ID
    title: Annotated[str, Field(max_length=4096)]


class SessionDelete(Command):
    """Stop what runs, and delete a conversation with all that belongs to it alone.

    So goes each picture that no other conversation and no memory of this owner uses; its bytes too, unless another
    owner has the same.
    """

    type: Literal["session.delete"]
    session_id: _SESSION_ID


class SessionExport(Command):
    """A conversation as a document, in parts of at most 150,000 characters.

    The ack's ``next`` is to be given as ``part`` for the part that follows; the last has none.
    """

    type: Literal["session.export"]
    session_id: _SESSION_ID
    format: Literal["json", "markdown"]
    part: Annotated[str, Field(max_length=64)] | None = None


class SessionClose(Command):
    """Follow a conversation no longer on this connection; one that is not open too."""

    type: Literal["session.close"]
    session_id: _SESSION_ID


class ImageBegin(Command):
    """Announce a picture: ``sha256`` is of its bytes, in hexadecimal.

    A hash that this owner has sent before is acknowledged with its ``image_id`` at once. At most 4 uploads at a time.
    After a lost connection, sent again with the same ``upload_id``, hash and size, it is answered with the ``offset``
    of what came already: kept for 10 minutes, 8 uploads an owner, in this gateway's memory; another begins at 0.
    """

    type: Literal["image.begin"]
    upload_id: UUID
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: int
    mime: Annotated[str, Field(max_length=128)] = ""


class ImageEnd(Command):
    """All bytes are sent. After a wrong piece this gives the error, and frees the place.

    ``resized``: the picture was scaled down. ``animated``: only its first frame is kept, which the ``notes`` of
    ``turn.finished`` say too.
    """

    type: Literal["image.end"]
    upload_id: UUID


def _finite(value: Any) -> Any:
    """The value, whose depth ``check_shape`` has bounded. Raises ``ValueError`` for a number that is infinite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is too large")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _finite(item)
    return value


class ToolChoice(Frame):
    name: Annotated[str, Field(max_length=64)]
    arguments: Annotated[dict[str, Any], AfterValidator(_finite)] = {}


class TurnSubmit(Command):
    """A message to answer.

    The same ``client_message_id`` with the same content is the same turn, with other content an error. ``tool`` or a
    slash command in the text calls a tool. ``parent`` is the message to go on after, also an answer that is on its way,
    or ``root`` to begin anew, so that a message is edited or a conversation branches; else it is the newest answer.
    """

    type: Literal["turn.submit"]
    session_id: _SESSION_ID
    client_message_id: _CLIENT_MESSAGE_ID
    text: str = ""
    images: tuple[Annotated[str, Field(max_length=64)], ...] = ()
    tool: ToolChoice | None = None
    parent: _MESSAGE_ID | None = None
    options: TurnOptions = TurnOptions()


class TurnRegenerate(Command):
    """Answer a message again; ``message_id`` is the message's, or that of an answer to it."""

    type: Literal["turn.regenerate"]
    session_id: _SESSION_ID
    message_id: _MESSAGE_ID
    client_message_id: _CLIENT_MESSAGE_ID
    options: TurnOptions = TurnOptions()


class TurnCancel(Command):
    """Stop a turn of a session that is open on this connection.

    ``seen_chars`` is how much of its text the client has, in Unicode code points.
    """

    type: Literal["turn.cancel"]
    turn_id: Annotated[str, Field(max_length=64)]
    seen_chars: Annotated[int, Field(ge=0, lt=2**53)] = 0


class MemoryAdd(Command):
    """Remember what an uploaded picture shows: "This is our dog Rex." is kept as "our dog Rex".

    The same picture and language again takes the place of what was there.
    """

    type: Literal["memory.add"]
    image_id: Annotated[str, Field(max_length=64)]
    text: Annotated[str, Field(max_length=4096)]
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}$")] | None = None


class MemoryList(Command):
    """What this owner's memory holds, in the order in which it was taught; an ``image_id`` may be gone by now."""

    type: Literal["memory.list"]


class MemoryRemove(Command):
    """Forget: ``memory`` is a ``memory_id``, or a text, and then all pictures of which it was said."""

    type: Literal["memory.remove"]
    memory: Annotated[str, Field(max_length=4096)]


class Ping(Command):
    """Is anybody there? Answered by ``pong``: browsers cannot see protocol pings."""

    type: Literal["ping"]


MemoryCommand = MemoryAdd | MemoryList | MemoryRemove
SessionCommand = SessionList | SessionRename | SessionDelete | SessionExport
TurnCommand = TurnSubmit | TurnRegenerate
Performed = Auth | SessionOpen | SessionClose | SessionCommand | TurnCommand | TurnCancel | ImageBegin | MemoryCommand
"""Commands that need the world."""
AnyCommand = Performed | ImageEnd | Ping
_COMMAND: TypeAdapter[AnyCommand] = TypeAdapter(Annotated[AnyCommand, Field(discriminator="type")])


# --- Answers --------------------------------------------------------------------------------------------------------


class Limits(Frame):
    """What a client may send; ``chunk_bytes`` is the data of a binary frame, without its head of 24 bytes."""

    image_bytes: int
    image_pixels: int
    images: int
    text_chars: int
    chunk_bytes: int = CHUNK_BYTES


class Hello(Frame):
    """The server's first frame."""

    type: Literal["hello"] = "hello"
    protocol: int = PROTOCOL
    server: str
    heartbeat_seconds: int = HEARTBEAT_SECONDS
    limits: Limits


class Pong(Frame):
    """The answer to ``ping``."""

    type: Literal["pong"] = "pong"
    id: str


class Error(Frame):
    """Something went wrong; the socket stays open, except after a refused ``auth``."""

    type: Literal["error"] = "error"
    command_id: str | None = None
    code: str
    message: str
    retry_after: float | None = None

    @classmethod
    def of(cls, error: AssistantError, command_id: str | None = None) -> "Error":
        return cls(command_id=command_id, code=error.code, message=error.message, retry_after=error.retry_after)


class Ack(Frame):
    """A command was carried out. Each command adds its own fields."""

    type: Literal["ack"] = "ack"
    id: str


class AuthAck(Ack):
    """Who it is, what may be done, and until when.

    What is left of the owner's limits, where there are any, and in how many seconds all of it is there again.
    """

    owner: str
    scopes: tuple[Scope, ...]
    expires_at: datetime | None = None
    remaining: Mapping[Resource, int] | None = None
    reset: Mapping[Resource, float] | None = None


class SessionOpenAck(Ack):
    session_id: str
    cursor: CursorFrame


class SessionListAck(Ack):
    """A page; without ``before`` it is the last. A page may be shorter than was asked for."""

    sessions: tuple[SessionInfo, ...]
    before: str | None = None


class SessionRenameAck(Ack):
    """The title as it is kept."""

    title: str


class SessionExportAck(Ack):
    """A part of the document; the texts of all parts joined are the document. Without ``next`` it is the last."""

    text: str
    next: str | None = None


class ImageOffsetAck(Ack):
    """Send bytes from this offset."""

    offset: int


class ImageReadyAck(Ack):
    """The picture is kept; ``resized``: it was scaled down; ``animated``: only its first frame is kept."""

    image_id: str
    width: int
    height: int
    resized: bool
    animated: bool


class TurnSubmitAck(Ack):
    turn_id: str
    message_id: str
    duplicate: bool


class MemoryItem(Frame):
    """One picture that is remembered."""

    memory_id: str
    text: str
    language: str
    image_id: str
    added_at: datetime

    @classmethod
    def of(cls, memory: Memory) -> "MemoryItem":
        return cls.model_validate(memory.model_dump(exclude={"sha256"}))


class MemoryAddAck(Ack):
    """It is remembered, among so many in all."""

    memory: MemoryItem
    count: int


class MemoryListAck(Ack):
    memories: tuple[MemoryItem, ...]


class MemoryRemoveAck(Ack):
    """These are forgotten."""

    removed: tuple[MemoryItem, ...]


class SessionSnapshot(Frame):
    """The whole conversation up to ``seq``, instead of events, where the client's cursor means nothing here."""

    type: Literal["session.snapshot"] = "session.snapshot"
    session_id: str
    epoch: str
    seq: int
    messages: tuple[Message, ...]


class SessionDeleted(Frame):
    """The conversation is gone: deleted, on whatever device, or too old. Nothing more comes of it."""

    type: Literal["session.deleted"] = "session.deleted"
    session_id: str


class LimitsUpdated(Frame):
    """What is left of the owner's limits: ``turns``, ``tokens``, ``pixels`` and ``bytes``, those that are limited.

    ``reset`` is in how many seconds all of it is there again. It belongs to no session and has no ``seq``, and comes
    when what is left has changed by a tenth or more, is used up or is there again.
    """

    type: Literal["limits.updated"] = "limits.updated"
    remaining: Mapping[Resource, int]
    reset: Mapping[Resource, float]


# --- Reading --------------------------------------------------------------------------------------------------------


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
