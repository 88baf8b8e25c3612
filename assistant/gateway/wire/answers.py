"""What a server sends beside the events of a session: acks, errors and notices."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from assistant.domain.access import Scope
from assistant.domain.errors import AssistantError
from assistant.domain.limits import Resource
from assistant.domain.memories import Memory
from assistant.domain.messages import Message
from assistant.domain.sessions import SessionInfo
from assistant.gateway.wire.frame import CHUNK_BYTES, HEARTBEAT_SECONDS, PROTOCOL, CursorFrame, Frame


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
