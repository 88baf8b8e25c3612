"""Say the gist of a text, with the pictures that belong to it, or of a photo of a page."""

from typing import Any, Literal

from pydantic import BaseModel

from assistant.tools.answer import IMAGES, TEXT, Arguments, TextResult, TextTool

Length = Literal["short", "medium", "long"]
_LENGTHS: dict[Length, str] = {"short": "one sentence", "medium": "three sentences", "long": "two paragraphs"}


class SummariseArguments(Arguments):
    """Arguments of ``summarise``."""

    text: str = TEXT
    """The text to summarise; where it is empty, what is written in the pictures."""
    length: Length = "medium"
    """short: a sentence; medium: three; long: two paragraphs."""
    images: tuple[str, ...] = IMAGES


class SummariseResult(TextResult):
    """Result of ``summarise``."""


class Summarise(TextTool):
    """``summarise``: the gist of a text."""

    name = "summarise"
    description = "Summarise a text, with the pictures that belong to it, or what is written in a picture."
    arguments: type[BaseModel] = SummariseArguments
    result: type[BaseModel] = SummariseResult

    def from_command(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def ask(self, arguments: BaseModel) -> str:
        asked = SummariseArguments.model_validate(arguments)
        return self._prompt.render(text=asked.text, length=_LENGTHS[asked.length])

    def text_of(self, arguments: BaseModel) -> str:
        return SummariseArguments.model_validate(arguments).text

    def conclude(self, arguments: BaseModel, common: dict[str, Any]) -> SummariseResult:
        return SummariseResult(**common)
