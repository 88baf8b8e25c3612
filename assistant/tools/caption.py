"""Say what a picture shows, and the few words that are written in it."""

from typing import Any, Literal

from pydantic import BaseModel

from assistant.domain.errors import InvalidRequest
from assistant.ports import Reading
from assistant.tools.answer import IMAGES, Arguments, PromptTool, TextResult

Style = Literal["short", "detailed", "alt"]
_INSTRUCTIONS: dict[Style, str] = {
    "short": "Describe this picture.",
    "detailed": "Describe this picture in detail.",
    "alt": "Write an alternative text for this picture.",
}


class CaptionArguments(Arguments):
    """Arguments of ``caption``."""

    style: Style = "short"
    """short: a sentence; detailed: more; alt: text for readers who do not see the picture."""
    images: tuple[str, ...] = IMAGES


class CaptionResult(TextResult):
    """Result of ``caption``."""


class Caption(PromptTool):
    """``caption``: a sentence about the pictures of the call."""

    name = "caption"
    description = "Say what a picture shows, in a sentence."
    arguments: type[BaseModel] = CaptionArguments
    result: type[BaseModel] = CaptionResult

    def from_command(self, text: str) -> dict[str, Any]:
        if text and text not in _INSTRUCTIONS:
            raise InvalidRequest("invalid_arguments", f"Usage: /caption [{'|'.join(_INSTRUCTIONS)}], with a picture.")
        return {"style": text} if text else {}

    def ask(self, arguments: BaseModel) -> str:
        asked = CaptionArguments.model_validate(arguments)
        return self._prompt.render(instruction=_INSTRUCTIONS[asked.style])

    def check(self, arguments: BaseModel, *, pictured: bool) -> None:
        if not pictured:
            raise InvalidRequest("image_missing", f"{self.name} needs a picture: add one.")

    def reading(self, arguments: BaseModel) -> Reading:
        return "quote"

    def conclude(self, arguments: BaseModel, common: dict[str, Any]) -> CaptionResult:
        return CaptionResult(**common)
