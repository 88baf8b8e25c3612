"""Does the model name what photos show, next to what would name it without a model, and with the wrong picture.

It asks an engine the way a user would; the baselines use the same encoder and the same memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from vlbm.engine import Engine, GenerationRequest, Message, PictureRef, Token
from vlbm.evaluation.photos import Photo, named
from vlbm.evidence.table import CAPTION, GROUP, Runs
from vlbm.pictures import open_picture

QUESTION = "What is in this picture?"


@dataclass(frozen=True, slots=True)
class Row:
    """One photo: what each way of answering said."""

    photo: Photo
    model: str
    first_class: str
    nearest: str
    shuffled: str
    without: str

    def hits(self) -> dict[str, bool]:
        """For each way, whether the thing was named."""
        ways = ("model", "first_class", "nearest", "shuffled", "without")
        return {way: named(getattr(self, way), self.photo.words) for way in ways}


def say(engine: Engine, picture: bytes | None, question: str = QUESTION, max_tokens: int = 40) -> str:
    """The engine's greedy answer to a question about a picture, or to the question alone."""
    images: tuple[PictureRef, ...] = ()
    if picture is not None:
        images = (PictureRef.of(picture),)
    request = GenerationRequest((Message("user", question, images),), max_tokens=max_tokens)
    return "".join(step.text for step in engine.generate(request) if isinstance(step, Token)).strip()


def first_run(model: Any, processor: Any, picture: bytes, kind: int) -> str:
    """The likeliest name or the nearest caption of a picture, as text."""
    runs = find_runs(model, processor, picture)
    places = (runs.kind[0] == kind).nonzero()[:1, 0].tolist()
    ids = [int(token) for place in places for token in runs.tokens[0, place] if token >= 0]
    return str(processor.tokenizer.decode(ids)).strip()


@torch.inference_mode()
def find_runs(model: Any, processor: Any, picture: bytes) -> Runs:
    """The evidence of one picture, before it is laid out."""
    seen = model.encode(processor.image_processor.pixels(open_picture(picture))[None])
    found: Runs = model.evidence.find(seen.logits, seen.style)
    return found


def compare(engine: Engine, photos: list[Photo], tell: Callable[[int, int], None] | None = None) -> list[Row]:
    """Ask about each photo; the shuffled picture is that of the photo half the list away, with no word in common."""
    without = say(engine, None)
    rows = []
    for number, photo in enumerate(photos):
        rows.append(
            Row(
                photo=photo,
                model=say(engine, photo.data),
                first_class=first_run(engine.model, engine.processor, photo.data, GROUP),
                nearest=first_run(engine.model, engine.processor, photo.data, CAPTION),
                shuffled=say(engine, other_photo(photos, number).data),
                without=without,
            )
        )
        if tell:
            tell(number + 1, len(photos))
    return rows


def other_photo(photos: list[Photo], number: int) -> Photo:
    """A photo of something else: half the list away, or the next one after it that shares no word."""
    mine = set(photos[number].words)
    for step in range(len(photos)):
        other = photos[(number + len(photos) // 2 + step) % len(photos)]
        if not mine & set(other.words):
            return other
    raise ValueError("all photos show the same thing")


def shares(rows: list[Row]) -> dict[str, float]:
    """For each way, the share of photos that it named."""
    hits = [row.hits() for row in rows]
    return {way: sum(hit[way] for hit in hits) / len(hits) for way in hits[0]}
