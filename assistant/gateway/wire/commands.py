"""The commands of clients."""

import math
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from assistant.domain.turns import TurnOptions
from assistant.gateway.wire.frame import CommandId, CursorFrame, Frame

_MESSAGE_ID = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
_CLIENT_MESSAGE_ID = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
_SESSION_ID = Annotated[str, Field(min_length=1, max_length=64)]


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
    arguments: Annotated[dict[str, Any], AfterValidator(_finite)] = {}  # noqa: RUF012  pydantic copies it


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
