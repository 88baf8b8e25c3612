"""One prompt, one streamed answer: what every tool is made of so far."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from assistant.budget import check_fits
from assistant.domain.errors import EngineError, InvalidRequest
from assistant.domain.prompts import Prompt
from assistant.ports.engine import End, EngineMessage, EngineRequest, Looked, PictureUse, Progress, Reading, Token
from assistant.ports.tools import Tool, ToolContext, ToolDone, ToolEvent

Language = Literal["en", "es", "fr", "de", "it", "pt"]
LANGUAGES: dict[str, str] = {
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "de": "German",
    "it": "Italian",
    "pt": "Portuguese",
}
TEXT = Field(default="", min_length=0)  # any constraint makes pydantic refuse halves of surrogate pairs
IMAGES = Field(
    default=(), description="Pictures: ids of the conversation, or paths of files where the tool runs locally."
)


class Arguments(BaseModel):
    """Base of tool arguments: an unknown argument is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TextResult(BaseModel):
    """Base of tool results that are text.

    Attributes:
        image_weight: mean share of the pictures in the words, 0 to 1; None without a picture.
        images_seen: how many of the pictures the model saw.
        confidence: how sure the text is of what it says of pictures, 0 to 1: 0 where it names nothing that was seen;
            None where none was looked at.
        read: the words that were read in the pictures, by a reader and not by the model; None where none were.
        notes: what the reader should know of this result, such as what the model does badly.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    image_weight: float | None = None
    images_seen: int = 0
    confidence: float | None = None
    read: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Answer:
    """A finished answer, filled while it streams."""

    text: str = ""
    end: End | None = None
    weights: list[float] = field(default_factory=list)
    looked: tuple[PictureUse, ...] = ()

    @property
    def image_weight(self) -> float | None:
        return round(sum(self.weights) / len(self.weights), 4) if self.weights else None

    @property
    def images_seen(self) -> int:
        return sum(use.seen for use in self.looked)

    @property
    def confidence(self) -> float | None:
        sure = self.ended().confidence
        return None if sure is None else round(sure, 4)

    @property
    def read(self) -> str | None:
        return "\n\n".join(use.read for use in self.looked if use.read) or None

    def ended(self) -> End:
        """The end of the stream. Raises ``EngineError`` when there was none."""
        if self.end is None:
            raise EngineError("engine_cut_off", "The answer broke off; try again.")
        return self.end


class PromptTool(Tool, ABC):
    """A tool that is one prompt about the pictures of the call."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt

    @abstractmethod
    def ask(self, arguments: BaseModel) -> str:
        """The prompt for these arguments."""

    @abstractmethod
    def reading(self, arguments: BaseModel) -> Reading:
        """What the words written in the pictures do."""

    @abstractmethod
    def conclude(self, arguments: BaseModel, common: dict[str, Any]) -> TextResult:
        """The typed result, from the fields that all text results share."""

    async def run(self, arguments: BaseModel, context: ToolContext) -> AsyncGenerator[ToolEvent]:
        answer = Answer(text=context.prefix)
        async with aclosing(_stream(self.ask(arguments), self.reading(arguments), context, answer)) as stream:
            async for event in stream:
                yield event
        caution = context.engine.info.cautions.get(self.name)
        common = {
            "text": answer.text,
            "image_weight": answer.image_weight,
            "images_seen": answer.images_seen,
            "confidence": answer.confidence,
            "read": answer.read,
            "notes": (*((caution,) if caution else ()), *(note for use in answer.looked for note in use.notes)),
        }
        yield ToolDone(self.conclude(arguments, common), answer.ended())


class TextTool(PromptTool, ABC):
    """A tool that works on a text: that of the call, or what is written in its pictures where the call has none."""

    @abstractmethod
    def text_of(self, arguments: BaseModel) -> str:
        """The text of the call; may be empty."""

    def check(self, arguments: BaseModel, *, pictured: bool) -> None:
        if not self.text_of(arguments).strip() and not pictured:
            raise InvalidRequest("text_missing", f"{self.name} needs a text, or a picture of one: a page, a sign.")

    def reading(self, arguments: BaseModel) -> Reading:
        return "never" if self.text_of(arguments).strip() else "text"


async def _stream(
    prompt: str, reading: Reading, context: ToolContext, answer: Answer
) -> AsyncGenerator[Progress | Looked | Token]:
    """Ask the engine; ``answer`` holds the outcome afterwards."""
    messages = (EngineMessage("user", prompt, context.pictures),)
    await check_fits(context.engine, messages, context.options)
    request = EngineRequest(messages, context.options, context.prefix, reading, context.memory, context.owner)
    async with aclosing(context.engine.generate(request)) as stream:
        async for event in stream:
            match event:
                case End():
                    answer.end = event
                    continue
                case Looked(pictures):
                    answer.looked = pictures
                case Token(text, weight):
                    answer.text += text
                    if weight is not None:
                        answer.weights.append(weight)
            yield event
