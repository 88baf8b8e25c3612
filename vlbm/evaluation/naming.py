"""Asking an engine the way a user would, and how sure it is of what it says.

It knows engines and the words that hedge an answer, not what is measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from vlbm.engine import End, Engine, GenerationRequest, Message, PictureRef, Token
from vlbm.evidence.table import Runs
from vlbm.pictures import open_picture

QUESTION = "What is in this picture?"
_HEDGED = re.compile(
    r"\b(looks? like|not sure|not certain|cannot tell|can't tell|don't know|could be|may be|might be|perhaps|maybe"
    r"|possibly|seems?|appears?|probably)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said, and how sure the engine is of it, from 0 to 1; None where there was no picture."""

    text: str
    confidence: float | None


def say(
    engine: Engine, picture: bytes | None, question: str = QUESTION, *, language: str = "en", max_tokens: int = 40
) -> Answer:
    """The engine's greedy answer to a question about a picture, or to the question alone."""
    images = () if picture is None else (PictureRef.of(picture),)
    request = GenerationRequest((Message("user", question, images),), max_tokens=max_tokens, language=language)
    steps = list(engine.generate(request))
    text = "".join(step.text for step in steps if isinstance(step, Token)).strip()
    if picture is None:
        return Answer(text, None)
    told = next((getattr(step, "confidence", None) for step in steps if isinstance(step, End)), None)
    return Answer(text, evidence_confidence(engine, picture) if told is None else float(told))


def asserts(text: str) -> bool:
    """Whether an answer says something without a hedge: "It looks like a cat." and "I cannot tell" do not."""
    return bool(text) and _HEDGED.search(text) is None


@torch.inference_mode()
def evidence_confidence(engine: Engine, picture: bytes) -> float:
    """How sure the strongest evidence of a picture is, which is what an answer's hedges follow; 0 without evidence."""
    model, processor = engine.model, engine.processor
    seen = model.encode(processor.image_processor.pixels(open_picture(picture))[None].to(model.device))
    found: Runs = model.evidence.find(seen.logits, seen.style)
    return max(found.confidence[0].tolist(), default=0.0)
