"""What a model sees of a conversation's pictures and reads in them, each once; and what became of each picture.

It knows pictures, the model's eyes and the reader of words; nothing of how an answer is made.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from threading import Lock
from typing import Any

import torch

from vlbm.engine.features import Cache, FeatureCache, encode
from vlbm.engine.reader import Memories
from vlbm.engine.request import GenerationRequest, Message, PictureRef, PictureUse, Progress, Step
from vlbm.engine.seen import Features, Key
from vlbm.engine.text import asks_about_a_picture, render
from vlbm.engine.words import asks_about_writing
from vlbm.evidence.neighbours import Lent
from vlbm.fingerprint import fingerprint
from vlbm.perception import Visual, style_of
from vlbm.pictures import open_picture, shortcomings
from vlbm.reading import Reading, read


class Eyes:
    """Looks at pictures, one at a time, whoever asks.

    Args:
        model, processor: that look.
        features: what was seen before; models may share one.
    """

    def __init__(self, model: Any, processor: Any, features: FeatureCache) -> None:
        self.model, self.processor, self.features = model, processor, features
        self.readings: Cache[Reading] = Cache()
        self.identity = _identity(model)
        self._turn = Lock()

    def forget(self, sha256: str) -> None:
        """Drop all that was seen and read of a picture."""
        self.features.forget(sha256)
        self.readings.forget(sha256)

    def look(
        self, wanted: Sequence[PictureRef], language: str, memory: Lent | None
    ) -> Generator[Step, None, list[Features]]:
        """See pictures; what was seen before is not looked at again.

        Raises:
            PictureError: a picture cannot be read.
        """
        seen = list[Features]()
        for done, picture in enumerate(wanted):
            yield Progress("encoding", done, len(wanted))
            seen.append(self._features(picture, language, memory))
        if wanted:
            yield Progress("encoding", len(wanted), len(wanted))
        return seen

    def read(self, wanted: Sequence[PictureRef]) -> Generator[Step, None, dict[str, Reading]]:
        """What is written in pictures, by their hash.

        Raises:
            ReadingMissing: what reads is not installed.
        """
        readings: dict[str, Reading] = {}
        for done, picture in enumerate(wanted):
            yield Progress("reading", done, len(wanted))
            key = Key("", picture.sha256, "")  # one reader for all models, and what is written has its own language
            found = self.readings.get(key)
            if found is None:
                found = read(open_picture(picture.load()))
                self.readings.put(key, found)
            readings[picture.sha256] = found
        yield Progress("reading", len(wanted), len(wanted))
        return readings

    def style(self, picture: PictureRef) -> torch.Tensor:
        """What a visual memory compares a picture by [s]."""
        with self._turn:
            return style_of(self.model, self.processor, picture.load())

    def memories(
        self, visual: Visual, request: GenerationRequest, start: int, wanted: Sequence[PictureRef], language: str
    ) -> Memories:
        """What the fused layers attend to, and what tells it apart from any other.

        Args:
            visual: what was seen.
            request: whose question it is about.
            start: the first position of the prompt that sees it.
            wanted: the pictures.
            language: of names and captions.
        """
        asked = render(self.processor, request.messages, pictured=True)[start:]  # no word of the answer's beginning
        with torch.inference_mode():
            device = self.model.device
            layers = self.model.remember(visual.to(device), torch.tensor([asked], device=device))
        memory = request.memory.id if request.memory else ""
        key = (self.identity, *(picture.sha256 for picture in wanted), language, memory, *map(str, asked))
        return Memories(layers, start, " ".join(key))

    def _features(self, picture: PictureRef, language: str, memory: Lent | None) -> Features:
        key = Key(self.identity, picture.sha256, language, memory.id if memory else "")
        found = self.features.get(key)
        if found is None:
            with self._turn:
                found = self.features.get(key) or encode(self.model, self.processor, picture, language, memory)
                self.features.put(key, found)
        return found


def latest_pictures(messages: Sequence[Message]) -> tuple[PictureRef, ...]:
    """The pictures that take part: the latest message's, or earlier ones where the latest asks about them.

    A small model that is shown a picture talks of it. "Tell me a joke." is therefore answered without the picture that
    was sent two messages ago, as the bare language model would answer it.
    """
    if not messages:
        return ()
    asked = messages[-1].text
    if not (messages[-1].images or asks_about_a_picture(asked) or asks_about_writing(asked)):
        return ()
    return next((message.images for message in reversed(messages) if message.images), ())


def accounts(
    messages: Sequence[Message], used: dict[str, Features], readings: dict[str, Reading]
) -> tuple[PictureUse, ...]:
    """What became of each picture of the conversation, in its order, each hash once."""
    hashes = dict.fromkeys(picture.sha256 for message in messages for picture in message.images)
    return tuple(_account(sha256, used.get(sha256), readings.get(sha256)) for sha256 in hashes)


def _account(sha256: str, features: Features | None, reading: Reading | None) -> PictureUse:
    known = features or reading
    if known is None:
        return PictureUse(sha256, False, 0, 0)
    lost = shortcomings(known.width, known.height) if features else ()
    return PictureUse(
        sha256,
        seen=True,
        width=known.width,
        height=known.height,
        read=reading.text if reading else "",
        notes=(*lost, *(reading.notes if reading else ())),
    )


def _identity(model: Any) -> str:
    """A short digest of what turns a picture into features: configuration and trained parts."""
    parts = ("encoder.", "memory.", "evidence.", "fusions.")
    seeing = ((name, value) for name, value in model.state_dict().items() if name.startswith(parts))
    return fingerprint(seeing, model.config.to_json_string())[:16]
