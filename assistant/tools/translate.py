"""Translate a text, with a picture where one helps to choose a word, or what is written in a picture."""

from typing import Any

from pydantic import BaseModel

from assistant.domain.errors import InvalidRequest
from assistant.tools.answer import IMAGES, LANGUAGES, TEXT, Arguments, Language, TextResult, TextTool


class TranslateArguments(Arguments):
    """Arguments of ``translate``."""

    text: str = TEXT
    """The text to translate; where it is empty, what is written in the pictures."""
    to: Language
    """Language to translate into (ISO 639-1)."""
    source: Language = "en"
    """Language of the text (ISO 639-1)."""
    images: tuple[str, ...] = IMAGES


class TranslateResult(TextResult):
    """Result of ``translate``; ``language`` is that of ``text``."""

    language: Language


class Translate(TextTool):
    """``translate``: text into another language."""

    name = "translate"
    description = "Translate a text, with a picture that shows what it is about, or what is written in a picture."
    arguments: type[BaseModel] = TranslateArguments
    result: type[BaseModel] = TranslateResult

    def from_command(self, text: str) -> dict[str, Any]:
        language, _, rest = text.partition(" ")
        if language not in LANGUAGES:
            raise InvalidRequest(
                "invalid_arguments", f"Usage: /translate {'|'.join(LANGUAGES)} some text, or with a picture of a text."
            )
        return {"to": language, "text": rest.strip()}

    def ask(self, arguments: BaseModel) -> str:
        asked = TranslateArguments.model_validate(arguments)
        return self._prompt.render(text=asked.text, source=LANGUAGES[asked.source], target=LANGUAGES[asked.to])

    def text_of(self, arguments: BaseModel) -> str:
        return TranslateArguments.model_validate(arguments).text

    def conclude(self, arguments: BaseModel, common: dict[str, Any]) -> TranslateResult:
        return TranslateResult(language=TranslateArguments.model_validate(arguments).to, **common)
