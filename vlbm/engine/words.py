"""What the words that are written in pictures do in a turn.

A small language model that is handed a sign's words and asked what it says talks about the words. So a question about
the words themselves is answered with them, as they were read; to be translated or summarised they are given to the
model as text. It knows words, and nothing of the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from vlbm.engine.request import GenerationRequest, Message
from vlbm.errors import NoWords
from vlbm.reading import Reading

Use = Literal["never", "quote", "answer", "text"]
QUOTE_CONFIDENCE = 0.9
QUOTE_WORDS = 12
NOTHING = "I can read no words in this picture."

_FOR_WORDS = re.compile(
    r"\bwhat (?:do|does|did)\b.*\b(?:say|read)\b|\bwhat(?:'s| is| was| stands)\b.*\bwritten\b"
    r"|\b(?:what|which)\b.*\b(?:text|words|writing)\b|\b(?:transcribe|spell out)\b"
    r"|\bread (?:out|this|that|it|them|the|what)\b",
    re.IGNORECASE,
)
_FOR_TEXT = re.compile(r"\b(?:summari[sz]e|summary|sum up|translate|translation)\b", re.IGNORECASE)
_OWN_TEXT = re.compile(r":\s*\w|[\"“«]|\n\s*\w")
_THERE = re.compile(
    r"\b(?:page|sign|menu|letter|document|poster|label|receipt|leaflet|picture|photo|image|it|this|that|here|there)\b",
    re.IGNORECASE,
)


def use_of(request: GenerationRequest) -> Use:
    """What the words of the pictures that take part are for: as the request says, or as its last message asks."""
    return _asked_use(request.messages[-1].text) if request.reading == "asked" else request.reading


def asks_about_writing(text: str) -> bool:
    """Whether a question that came without a picture is about what is written in one that was sent before."""
    return _asked_use(text) != "never" and _THERE.search(text) is not None


def _asked_use(asked: str) -> Use:
    """A guess from words: a text to translate or summarise is in the picture where the message has none itself."""
    if _FOR_TEXT.search(asked) and not _OWN_TEXT.search(asked):
        return "text"
    return "answer" if _FOR_WORDS.search(asked) else "never"


def with_text(messages: Sequence[Message], readings: Sequence[Reading]) -> tuple[Message, ...]:
    """The conversation with what was read as the text that its last message is about.

    Raises:
        NoWords: nothing was read.
    """
    said = joined(readings)
    if not said:
        raise NoWords(
            "no words could be read in the picture: take it upright, near and in good light, or give the text itself"
        )
    last = messages[-1]
    return (*messages[:-1], replace(last, text=f"{last.text.rstrip()}\n\n{said}".lstrip()))


def answer(readings: Sequence[Reading]) -> str:
    """What the pictures say, as a whole answer."""
    said = joined(readings)
    if not said:
        return NOTHING
    return f'It reads "{said}".' if len(said.split()) <= QUOTE_WORDS and "\n" not in said else f"It reads:\n\n{said}"


def quote(readings: Sequence[Reading]) -> str:
    """A sentence with the words of the pictures, to follow an answer; empty where they are not clear, none or many."""
    lines = [line for reading in readings for line in reading.lines]
    clear = [line.text for line in lines if line.confidence >= QUOTE_CONFIDENCE and len(line.text) > 1]
    said = " ".join(clear)
    return f'It reads "{said}".' if said and len(said.split()) <= QUOTE_WORDS else ""


def joined(readings: Sequence[Reading]) -> str:
    """The texts of several pictures as one."""
    return "\n\n".join(reading.text for reading in readings if reading.text)
