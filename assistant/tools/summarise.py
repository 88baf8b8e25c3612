"""Say the gist of a text, with the pictures that belong to it."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from assistant.domain.errors import InvalidRequest
from assistant.tools.answer import IMAGES, Arguments, PromptTool, TextResult

Length = Literal["short", "medium", "long"]
_LENGTHS: dict[Length, str] = {"short": "one sentence", "medium": "three sentences", "long": "two paragraphs"}


class SummariseArguments(Arguments):
    """Arguments of ``summarise``."""

    text: str = Field(min_length=1)
    """The text to summarise."""
    length: Length = "medium"
    """short: a sentence; medium: three; long: two paragraphs."""
    images: tuple[str, ...] = IMAGES


class SummariseResult(TextResult):
    """Result of ``summarise``."""


class Summarise(PromptTool):
    """``summarise``: the gist of a text."""

    name = "summarise"
    description = "Summarise a text, with the pictures that belong to it."
    arguments: type[BaseModel] = SummariseArguments
    result: type[BaseModel] = SummariseResult

    def from_command(self, text: str) -> dict[str, Any]:
        if not text:
            raise InvalidRequest("invalid_arguments", "Usage: /summarise some text.")
        return {"text": text}

    def ask(self, arguments: BaseModel) -> str:
        asked = SummariseArguments.model_validate(arguments)
        return self._prompt.render(text=asked.text, length=_LENGTHS[asked.length])

    def conclude(self, arguments: BaseModel, common: dict[str, Any]) -> SummariseResult:
        return SummariseResult(**common)
