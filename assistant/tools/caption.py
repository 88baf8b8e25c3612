"""Say what a picture shows, and the few words that are written in it."""

from typing import Any, Literal

from pydantic import BaseModel

from assistant.domain.errors import InvalidRequest
from assistant.ports.engine import Reading
from assistant.tools.answer import IMAGES, LANGUAGES, Arguments, Language, PromptTool, TextResult

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
    language: Language = "en"
    """Language of the caption (ISO 639-1)."""
    images: tuple[str, ...] = IMAGES


class CaptionResult(TextResult):
    """Result of ``caption``; ``language`` is that of ``text``."""

    language: Language


class Caption(PromptTool):
    """``caption``: a sentence about the pictures of the call."""

    name = "caption"
    description = "Say what a picture shows, in a sentence."
    arguments: type[BaseModel] = CaptionArguments
    result: type[BaseModel] = CaptionResult

    def from_command(self, text: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for word in text.split():
            name = "style" if word in _INSTRUCTIONS else "language"
            if name in found or (name == "language" and word not in LANGUAGES):
                raise InvalidRequest(
                    "invalid_arguments",
                    f"Usage: /caption [{'|'.join(_INSTRUCTIONS)}] [{'|'.join(LANGUAGES)}], with a picture.",
                )
            found[name] = word
        return found

    def ask(self, arguments: BaseModel) -> str:
        asked = CaptionArguments.model_validate(arguments)
        instruction = _INSTRUCTIONS[asked.style]
        if asked.language != "en":
            instruction = f"{instruction} Answer in {LANGUAGES[asked.language]}."
        return self._prompt.render(instruction=instruction)

    def check(self, arguments: BaseModel, *, pictured: bool) -> None:
        if not pictured:
            raise InvalidRequest("image_missing", f"{self.name} needs a picture: add one.")

    def reading(self, arguments: BaseModel) -> Reading:
        return "quote"

    def conclude(self, arguments: BaseModel, common: dict[str, Any]) -> CaptionResult:
        return CaptionResult(language=CaptionArguments.model_validate(arguments).language, **common)
