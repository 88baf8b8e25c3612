"""Which language a question wants its answer in: the one that it names, else the one that it is asked in.

A guess from words, among languages that use the Latin script and that share few function words; whoever knows better
says so in the request. It knows text only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vlbm.tasks import LANGUAGES

# Words that questions and requests have, and that few of the other languages share.
_COMMON = {
    "en": (
        "what is this the in picture image photo do you see there are how many describe caption write a of an where"
    ),
    "es": (
        "pon un título a para texto qué es esto la imagen foto hay en el una describe escribe ves se ve "
        "cuántos cuántas dónde está los las del"
    ),
    "fr": (
        "donne un titre à légende qu'est-ce que c'est l'image photo cette décris écris vois voit-on sur une "
        "les il y combien où quoi est le"
    ),
    "de": (
        "gib dem einen titel was ist das auf dem bild foto siehst du beschreibe schreibe eine den wie viele "
        "wo sind gibt es der die zu"
    ),
    "it": (
        "descrivi l'immagine dai titolo all'immagine per testo didascalia scrivi che cosa cos'è c'è "
        "nell'immagine foto vedi questa questo una di quanti quante dove nella il"
    ),
    "pt": (
        "dê um título à legenda texto para o que é isto isso há na imagem foto descreva escreva você vê uma "
        "nesta quantos quantas onde está os as do"
    ),
}
_WORDS = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_LEAST = 2


def answer_language(text: str, known: Sequence[str]) -> str:
    """The language of an answer, one of those that are known; the first of them where the text does not tell.

    Args:
        text: of the question.
        known: languages, as BCP 47 tags.
    """
    named = re.findall(r"\b(?:in|into) ([A-Z][a-z]+)\b", text)
    for language in known:
        if LANGUAGES.get(language) in named:
            return language
    words = re.findall(r"[\w'-]+", text.lower())
    counts = {language: sum(word in _WORDS.get(language, ()) for word in words) for language in known}
    best = max(known, key=lambda language: counts[language])
    return best if counts[best] >= _LEAST and counts[best] > counts[known[0]] else known[0]
