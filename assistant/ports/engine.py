"""What makes answers: it says what comes next."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from assistant.domain.turns import TurnOptions

Reading = Literal["never", "asked", "quote", "text"]
"""What words written in the pictures of a request do. never: nothing, they are not read; asked: they are read where the
question asks for them; quote: they follow the answer where they are few; text: they are what the question is about."""


@dataclass(frozen=True, slots=True)
class EnginePicture:
    """A picture as an engine gets it: encoded bytes, and the hash by which its features are cached.

    ``animated``: it is the first frame of what was sent.
    """

    image_id: str
    sha256: str
    data: bytes
    width: int
    height: int
    animated: bool = False


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
    request is answered with it. ``owner`` is who asks: an engine that is asked too much at once is fair between owners.
    """

    messages: tuple[EngineMessage, ...]
    options: TurnOptions = TurnOptions()
    prefix: str = ""
    reading: Reading = "asked"
    memory: tuple[Taught, ...] = ()
    owner: str = ""


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

    async def forget(self, sha256: str) -> None:
        """Drop all that is kept of a picture."""

    async def close(self) -> None:
        """Free what the engine holds."""
