"""What the words that are written in pictures do in a turn.

A small language model that is handed a sign's words and asked what it says talks about the words. So a question about
the words themselves is answered with them, as they were read; to be translated or summarised they are given to the
model as text. Questions about words are known in six languages, the others in English. It knows words, and nothing of
the model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from vlbm.engine.request import GenerationRequest, Message
from vlbm.errors import NoWords
from vlbm.reading import Reading

Use = Literal["never", "quote", "answer", "text"]
QUOTE_CONFIDENCE = 0.9
QUOTE_WORDS = 12


class Wording(NamedTuple):
    """How a language says what is written, and that nothing is."""

    lead: str
    nothing: str


ENGLISH = Wording("It reads", "I can read no words in this picture.")
WORDINGS = {
    "en": ENGLISH,
    "es": Wording("Dice", "No puedo leer ninguna palabra en esta imagen."),
    "fr": Wording("On y lit", "Je ne peux lire aucun mot sur cette image."),
    "de": Wording("Darauf steht", "Ich kann auf diesem Bild keine Wörter lesen."),
    "it": Wording("C'è scritto", "Non riesco a leggere parole in questa immagine."),
    "pt": Wording("Está escrito", "Não consigo ler nenhuma palavra nesta imagem."),
}

_FOR_WORDS = re.compile(
    r"\bwhat (?:do|does|did)\b.*\b(?:say|read)\b|\bwhat(?:'s| is| was| stands)\b.*\bwritten\b"
    r"|\b(?:what|which)\b.*\b(?:text|words|writing)\b|\b(?:transcribe|spell out)\b"
    r"|\bread (?:out|this|that|it|them|the|what)\b"
    r"|\bqué (?:dice|pone|está escrito)\b"
    r"|\bque dit\b|\bqui est écrit\b"
    r"|\bwas (?:steht|ist)\b.*\b(?:geschrieben|schild|zettel|plakat|etikett)\b"
    r"|\b(?:che )?cosa (?:dice|c'è scritto)\b"
    r"|\bo que (?:diz|está escrito)\b",
    re.IGNORECASE,
)
_FOR_TEXT = re.compile(r"\b(?:summari[sz]e|summary|sum up|translate|translation)\b", re.IGNORECASE)
_OWN_TEXT = re.compile(r":\s*\w|[\"“«]|\n\s*\w")
_THERE = re.compile(
    r"\b(?:page|sign|menu|letter|document|poster|label|receipt|leaflet|picture|photo|image|it|this|that|here|there)\b",
    re.IGNORECASE,
)


def use_of(request: GenerationRequest) -> Use:
    """What the words of the pictures that take part are for: as the request says, or as its last message asks.

    An answer that keeps to a schema has no place for them but in it: there they are read as a text, or not at all.
    """
    use: Use = _asked_use(request.messages[-1].text) if request.reading == "asked" else request.reading
    if request.schema is not None:
        return "text" if use in ("answer", "text") else "never"
    return use


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


def answer(readings: Sequence[Reading], language: str) -> str:
    """What the pictures say, as a whole answer; in English where there are no wordings of a language."""
    lead, nothing = WORDINGS.get(language, ENGLISH)
    said = joined(readings)
    if not said:
        return nothing
    return f'{lead} "{said}".' if len(said.split()) <= QUOTE_WORDS and "\n" not in said else f"{lead}:\n\n{said}"


def quote(readings: Sequence[Reading], language: str) -> str:
    """A sentence with the words of the pictures, to follow an answer; empty where they are not clear, none or many."""
    lead, _ = WORDINGS.get(language, ENGLISH)
    lines = [line for reading in readings for line in reading.lines]
    clear = [line.text for line in lines if line.confidence >= QUOTE_CONFIDENCE and len(line.text) > 1]
    said = " ".join(clear)
    return f'{lead} "{said}".' if said and len(said.split()) <= QUOTE_WORDS else ""


def joined(readings: Sequence[Reading]) -> str:
    """The texts of several pictures as one."""
    return "\n\n".join(reading.text for reading in readings if reading.text)
