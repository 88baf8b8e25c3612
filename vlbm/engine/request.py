"""What is asked of the engine, and what it says while it answers. Plain values: no torch, no model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vlbm.evidence.neighbours import Lent

Role = Literal["system", "user", "assistant"]
Reading = Literal["never", "asked", "quote", "text"]


@dataclass(frozen=True, slots=True)
class PictureRef:
    """A picture by the hash of its bytes; `load` is called only when its features are not cached."""

    sha256: str
    load: Callable[[], bytes]

    @classmethod
    def of(cls, data: bytes) -> PictureRef:
        """Of bytes that are at hand."""
        return cls(hashlib.sha256(data).hexdigest(), lambda: data)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    text: str
    images: tuple[PictureRef, ...] = ()

    def __post_init__(self) -> None:
        if self.role not in ("system", "user", "assistant"):
            raise ValueError(f"role must be system, user or assistant, got {self.role!r}")
        object.__setattr__(self, "images", tuple(self.images))


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One turn to answer.

    Attributes:
        messages: the conversation, oldest first; the last one is what is answered.
        prefix: text that the answer begins with; it is gone on from and not said again.
        max_tokens, min_tokens: most and least tokens of the answer; the model cannot end it before the least.
        temperature: 0 is greedy.
        top_p: nucleus, in (0, 1].
        top_k: so many of the likeliest tokens are drawn from; 0 is all.
        seed: of the sampling; None draws one.
        stop: the answer ends before any of these strings.
        schema: JSON schema that the answer keeps to; it is JSON then, whole unless `max_tokens` ends it, and words
            in pictures are not quoted after it.
        repetition_penalty: divides the logits of tokens already in prompt or answer (Keskar et al. 2019); 1 is none.
        language: that names and captions of pictures, and the sentence that quotes their words, shall be in, as a
            BCP 47 tag; None takes the question's.
        reading: what the words written in the pictures do. "asked": they are read only where the last message asks for
            them ("What does the sign say?") or for their translation or summary. "quote": the answer is followed by
            them where they are few and clear. "text": they are the text that the last message is about, and the
            pictures are not looked at beside. "never": they are not read.
        owner: who asks, for fairness between those who wait; nothing else depends on it.
        memory: a visual memory of whoever asks (`vlbm.memory.teach`), beside the model's own. No other request is
            answered with it.
    """

    messages: tuple[Message, ...]
    prefix: str = ""
    max_tokens: int = 256
    min_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    repetition_penalty: float = 1.0
    language: str | None = None
    reading: Reading = "asked"
    memory: Lent | None = None
    owner: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", tuple(self.messages))
        object.__setattr__(self, "stop", tuple(text for text in self.stop if text))
        if not self.messages:
            raise ValueError("a request needs at least one message")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}")
        if not 0 <= self.min_tokens <= self.max_tokens:
            raise ValueError(f"min_tokens must be 0 to max_tokens, got {self.min_tokens}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be 0 or more, got {self.top_k}")
        if self.temperature < 0:
            raise ValueError(f"temperature must be 0 or more, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}")
        if self.reading not in ("never", "asked", "quote", "text"):
            raise ValueError(f"reading must be never, asked, quote or text, got {self.reading!r}")
        if self.repetition_penalty <= 0:
            raise ValueError(f"repetition_penalty must be above 0, got {self.repetition_penalty}")


@dataclass(frozen=True, slots=True)
class Progress:
    """Work before the first token: `done` of `total` pictures read or encoded, or prompt tokens prefilled.

    "waiting": for a seat, behind `total` others.
    """

    stage: Literal["reading", "encoding", "waiting", "prefill"]
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer; all `text`s joined are the answer.

    Attributes:
        text: may be empty while a character is incomplete or a stop string may be under way, and may then hold several
            tokens' text at once.
        token_id: the token that was chosen; None for words that were read in a picture, which the model did not choose.
        image_weight: ||alpha*F|| / (||alpha*F|| + ||beta*M||) in [0,1], averaged over the fused layers, at the position
            that predicted this token; None without a picture.
    """

    text: str
    token_id: int | None
    image_weight: float | None


@dataclass(frozen=True, slots=True)
class PictureUse:
    """What became of a picture of the conversation.

    Attributes:
        sha256: which.
        seen: it took part in the answer: it was looked at, or its words were read.
        width, height: in pixels, upright; 0 where the picture was not needed and so not opened.
        read: the words that were read in it; empty where none were, or where it was not read.
        notes: what a person should know of how it was looked at (`vlbm.pictures.shortcomings`) and read
            (`vlbm.reading.Reading.notes`).
    """

    sha256: str
    seen: bool
    width: int
    height: int
    read: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of the pictures of the conversation; said once, before the first token, where there are any."""

    images: tuple[PictureUse, ...]


@dataclass(frozen=True, slots=True)
class End:
    """The end of an answer, with its accounts.

    Attributes:
        reason: the model ended it, or it was cut off.
        prompt_tokens, completion_tokens, image_cells: how much was read and said.
        images: as in `Looked`.
        confidence: how sure the answer is of what it says of pictures (`vlbm.evidence.said`); None where none was
            looked at.
    """

    reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
    image_cells: int
    images: tuple[PictureUse, ...] = ()
    confidence: float | None = None


Step = Progress | Looked | Token | End
