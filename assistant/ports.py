"""What the service needs of the world.

A port with more than one implementation has a contract suite in ``tests/contracts`` that each of them passes.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from assistant.domain.events import Event, TurnStatus
from assistant.domain.memories import Memory
from assistant.domain.messages import Message
from assistant.domain.turns import Submission, TurnOptions

Reading = Literal["never", "asked", "quote", "text"]
"""What words written in the pictures of a request do. never: nothing, they are not read; asked: they are read where the
question asks for them; quote: they follow the answer where they are few; text: they are what the question is about."""

# --- Engine: says what comes next -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EnginePicture:
    """A picture as an engine gets it: encoded bytes, and the hash by which its features are cached."""

    image_id: str
    sha256: str
    data: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Taught:
    """A picture that an owner has taught: what it shows, and what the engine made of it (``Engine.look_at``)."""

    sha256: str
    text: str
    language: str
    style: bytes


@dataclass(frozen=True, slots=True)
class EngineMessage:
    """One message of the prompt."""

    role: Literal["system", "user", "assistant"]
    text: str
    pictures: tuple[EnginePicture, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One answer to make. ``prefix`` is text of the answer that was already sent: the engine goes on after it.

    An engine that does not read pictures takes any ``reading`` for "never". ``memory`` is of whoever asks: no other
    request is answered with it.
    """

    messages: tuple[EngineMessage, ...]
    options: TurnOptions = TurnOptions()
    prefix: str = ""
    reading: Reading = "asked"
    memory: tuple[Taught, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """Work done before the next token; ``stage`` is a word such as ``reading``, ``encoding`` or ``prefill``."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Token:
    """Text that follows. ``image_weight`` is the share of the picture in it, 0 to 1; None where none was looked at."""

    text: str
    image_weight: float | None = None


@dataclass(frozen=True, slots=True)
class PictureUse:
    """Whether a picture reached the model; if not, the reason in a few words.

    ``read`` are the words that were read in it, None where none were. ``notes`` says what a person should know of how
    it was looked at and read.
    """

    image_id: str
    seen: bool
    reason: str | None = None
    read: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """Which pictures of the request the model sees: each one is listed. Said before the first token."""

    pictures: tuple[PictureUse, ...]


@dataclass(frozen=True, slots=True)
class End:
    """The last thing an engine says of a request. Times are counted from the request, in milliseconds.

    ``confidence`` is how sure the answer is of what it says of pictures, 0 to 1; None where none was looked at.
    """

    reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
    image_cells: int
    first_token_ms: float
    total_ms: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is. ``cautions`` names, by tool, what it is known to do badly, in a sentence for the user.

    ``encoder`` is what looks at pictures, by an identity: what it made of taught pictures means nothing to another one.
    It is empty where an engine learns no pictures.
    """

    name: str
    model: str
    context_tokens: int
    default_max_tokens: int
    slots: int
    """How many answers it makes at the same time."""
    cautions: dict[str, str] = field(default_factory=dict)
    encoder: str = ""


EngineEvent = Progress | Looked | Token | End


class Engine(Protocol):
    """Answers requests, token by token."""

    info: EngineInfo

    def count_tokens(self, messages: Sequence[EngineMessage]) -> int:
        """Length of the prompt these messages make, in tokens of this engine's model."""

    def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent]:
        """Stream the answer: ``Progress``, ``Looked`` where there are pictures, ``Token``s, then one ``End``.

        Closing the iterator stops the work within one token.

        Raises:
            EngineError: the model could not answer; the message says why.
        """

    async def look_at(self, picture: EnginePicture) -> bytes:
        """What this engine will find a picture again by, to be kept with what it shows (``Taught.style``).

        Raises:
            EngineError: the picture cannot be read.
        """

    async def close(self) -> None:
        """Free what the engine holds."""


# --- Conversations: never lose one ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a session's log. A ``seq`` means nothing without its ``epoch``."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One placed event: its number and its JSON, ready to send."""

    seq: int
    json: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission that is now promised. ``duplicate``: it had been before, and is not run again."""

    turn_id: str
    message_id: str
    duplicate: bool


class Bell(Protocol):
    """Rings when something new may be in a log. May ring for nothing; never misses."""

    async def wait(self) -> list[LogEntry]:
        """Return at the next ring, at once if it rang since the last call.

        What is returned came with the ring, in order, and saves a look at the log. It may be less than what is new,
        nothing even: only the log is whole.
        """


class ConversationStore(Protocol):
    """Keeps conversations of owners. A session that is not the owner's is ``NotFound``."""

    async def create(self, owner: str) -> tuple[str, Cursor]:
        """A new session: its id, and the cursor before its first event."""

    async def head(self, owner: str, session_id: str) -> Cursor:
        """The cursor after the last event."""

    async def submit(self, owner: str, session_id: str, submission: Submission) -> Accepted:
        """Append the user's message and queue its turn, in one atomic step.

        Raises:
            NotFound: no such session of this owner.
            Conflict: the client message id was used for another content.
            LimitReached: too many turns of this session wait already.
        """

    async def cancel(self, owner: str, session_id: str, turn_id: str, seen_chars: int) -> None:
        """Ask whoever runs the turn to stop. A turn that has ended stays as it is."""

    async def read(self, session_id: str, after: int, limit: int = 500) -> list[LogEntry]:
        """Events with ``seq > after``, in order. The owner is checked by whoever opened the session."""

    async def messages(self, session_id: str) -> list[Message]:
        """All committed messages, in the order of the log."""

    def watch(self, session_id: str) -> AbstractAsyncContextManager[Bell]:
        """A bell for the log of this session."""


# --- Turns: run each once -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer one turn, until the lease ends. ``fence`` tells a late writer from the present one."""

    session_id: str
    turn_id: str
    owner: str
    job_id: str
    fence: int
    attempt: int
    options: TurnOptions
    committed: str
    """Text of the answer that an earlier attempt has sent."""


class LostClaim(Exception):
    """Another worker has the turn now, or it has ended: stop, and write nothing more."""


class TurnQueue(Protocol):
    """Hands turns to workers and takes their answers."""

    async def claim(self, worker: str, engine: EngineInfo, wait: float) -> Claim | None:
        """Take the next turn, or return None after ``wait`` seconds without one. Announces ``turn.started``."""

    async def append(self, claim: Claim, events: Sequence[Event]) -> None:
        """Append events of the running turn and renew the lease.

        Raises:
            LostClaim: the turn is no longer this worker's.
        """

    async def renew(self, claim: Claim) -> None:
        """Renew the lease without an event. Raises ``LostClaim`` as ``append`` does."""

    async def finish(self, claim: Claim, events: Sequence[Event], status: TurnStatus) -> None:
        """Append the last events once, end the turn and let the next of the session begin. May raise ``LostClaim``."""

    def watch_cancel(self, claim: Claim) -> AbstractAsyncContextManager[Bell]:
        """A bell that rings when this turn is to stop (at once, if it was cancelled before)."""


# --- Pictures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture after intake. ``sha256`` is of the bytes kept, ``source_sha256`` of the bytes sent."""

    image_id: str
    sha256: str
    source_sha256: str
    width: int
    height: int
    resized: bool


class PictureStore(Protocol):
    """Keeps the pictures of owners. A picture that is not the owner's is ``NotFound``."""

    async def add(self, owner: str, picture: StoredPicture, data: bytes) -> None:
        """Keep a picture durably under its id."""

    async def find(self, owner: str, source_sha256: str) -> StoredPicture | None:
        """The picture that this owner has sent before, by the hash of what was sent."""

    async def get(self, owner: str, image_id: str) -> StoredPicture:
        """What is known of a picture. Raises ``NotFound``."""

    async def data(self, picture: StoredPicture) -> bytes:
        """The bytes kept, JPEG or PNG. Raises ``NotFound`` when they are gone."""


# --- Memories: what an owner has taught -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Style:
    """What an engine made of a taught picture, and which encoder looked."""

    encoder: str
    data: bytes


class MemoryStore(Protocol):
    """Keeps what owners have taught. What is not the owner's is not there."""

    async def add(self, owner: str, memory: Memory) -> int:
        """Keep a memory in the place of the one with its id, if there is one; what was made of it is void.

        Returns:
            How many there are now.

        Raises:
            LimitReached: the owner has as many as are kept.
        """

    async def memories(self, owner: str) -> list[Memory]:
        """All of them, in the order in which they were taught."""

    async def remove(self, owner: str, memory_ids: Sequence[str]) -> int:
        """Forget memories and all that was made of them. How many there were."""

    async def styles(self, owner: str) -> dict[str, Style]:
        """What was made of the memories so far, by their id; it is for use in an answer, and counts as one."""

    async def learn(self, owner: str, memory_id: str, style: Style) -> None:
        """Keep what was made of a memory, unless it has been forgotten meanwhile."""


class BlobStore(Protocol):
    """Keeps bytes under their SHA-256."""

    async def put(self, sha256: str, data: bytes) -> None:
        """Keep the bytes; once this returns they survive a crash of the process."""

    async def get(self, sha256: str) -> bytes | None:
        """The bytes, or None."""


# --- Tools ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may use: the engine, the pictures given with the call, how to answer, what was already sent, and what
    the owner has taught.
    """

    engine: Engine
    pictures: tuple[EnginePicture, ...] = ()
    options: TurnOptions = TurnOptions()
    prefix: str = ""
    memory: tuple[Taught, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolDone:
    """The typed result of a tool, with the end of the engine's last answer."""

    result: BaseModel
    end: End


ToolEvent = Progress | Looked | Token | ToolDone


class Tool(Protocol):
    """A typed piece of work: validated arguments in, streamed text and a typed result out."""

    name: str
    description: str
    arguments: type[BaseModel]
    result: type[BaseModel]

    def from_command(self, text: str) -> dict[str, Any]:
        """Arguments of the slash command ``/name text``. Raises ``InvalidRequest`` with the usage."""

    def check(self, arguments: BaseModel, *, pictured: bool) -> None:
        """Raises ``InvalidRequest`` where arguments and pictures together give nothing to work on."""

    def run(self, arguments: BaseModel, context: ToolContext) -> AsyncGenerator[ToolEvent]:
        """Do it. Ends with ``ToolDone``; closing the iterator stops the work within one token."""


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The time in UTC."""


class Health(Protocol):
    """Whether what the service stands on is there."""

    async def problem(self) -> str | None:
        """What is wrong, in a few words, or None."""
