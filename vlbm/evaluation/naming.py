"""Asking a model the way a user would, many questions at a time, and how sure it is of what it says.

It knows models and the words that hedge an answer, not what is measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vlbm.data.records import Example
from vlbm.evaluation.answers import answer
from vlbm.evidence.said import confidence
from vlbm.language import context_tokens
from vlbm.perception import Visual
from vlbm.training.encoded import encode

QUESTION = "What is in this picture?"
_HEDGED = re.compile(
    r"\b(looks? like|not sure|not certain|cannot tell|can't tell|don't know|could be|may be|might be|perhaps|maybe"
    r"|possibly|seems?|appears?|probably)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Posed:
    """A question, the picture that it is about (or None), and the language of names and captions in its evidence."""

    picture: bytes | None
    text: str = QUESTION
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said, and how sure that is (`vlbm.evidence.said`), from 0 to 1; None where there was no picture."""

    text: str
    confidence: float | None


def answers(
    model: Any,
    processor: Any,
    posed: Sequence[Posed],
    look: Callable[[bytes, str], Visual],
    *,
    max_tokens: int,
    batch: int,
    tell: Callable[[int, int], None],
) -> list[Answer]:
    """The greedy answers: those that the engine gives.

    Args:
        model, processor: that are asked.
        posed: the questions.
        look: what is seen of a picture, with evidence in a language.
        max_tokens: of an answer.
        batch: questions at a time.
        tell: is told questions done and in all.
    """
    context = context_tokens(model.config.text_config)
    seen = [None if one.picture is None else look(one.picture, one.language) for one in posed]
    rows = [
        encode(processor, Example((), "-", task="chat", text=one.text), [visual] if visual else [], context=context)
        for one, visual in zip(posed, seen, strict=True)
    ]
    said = answer(model, processor.tokenizer, rows, max_tokens=max_tokens, batch=batch, tell=tell)
    sure = [
        None if visual is None else confidence(visual.evidence, processor.tokenizer, text)
        for visual, text in zip(seen, said, strict=True)
    ]
    return [Answer(*pair) for pair in zip(said, sure, strict=True)]


def asserts(text: str) -> bool:
    """Whether an answer says something without a hedge: "It looks like a cat." and "I cannot tell" do not."""
    return bool(text) and _HEDGED.search(text) is None
