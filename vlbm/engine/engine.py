"""Answers turns, each as a stream of steps, all that run together.

`generate` is a plain generator for whichever thread asks: pictures are looked at there, then the turn joins those that
run in the engine's own thread (`loop`). Closing the generator gives the turn up. It knows the model and nothing of who
asks, but for a name that seats are shared fairly by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any
from weakref import finalize

import torch

from vlbm.engine.answer import Answer
from vlbm.engine.answer_language import answer_language
from vlbm.engine.features import FeatureCache
from vlbm.engine.grammar import Grammars
from vlbm.engine.looking import Eyes, accounts, latest_pictures
from vlbm.engine.loop import Loop
from vlbm.engine.passes import BESIDE
from vlbm.engine.readers import ROWS, Precision, reader
from vlbm.engine.request import End, GenerationRequest, Looked, Message, PictureRef, Step, Token
from vlbm.engine.text import render
from vlbm.engine.turn import Turn
from vlbm.engine.words import Use, answer, joined, quote, use_of, with_text
from vlbm.errors import PromptTooLong, ReadingMissing
from vlbm.evidence.said import confidence
from vlbm.language import context_tokens
from vlbm.perception import gather
from vlbm.reading import Reading

# Turns together on a CPU, and on a GPU; turns that wait; tokens of the cache, in all and for each of more seats.
SEATS, GPU_SEATS, QUEUE, TOKENS, SEAT_TOKENS = 16, 64, 256, 16_384, 1024


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine is.

    Attributes:
        name: of the model.
        context_tokens: prompt and answer together.
        image_cells: grid cells of one picture.
        image_tokens: tokens that pictures take in the prompt (0 where they enter by fusion alone).
        parameters: of the whole model.
        language_model, encoder, fusion: names of the parts.
        precision: of the language model's weights.
        seats: turns that run together.
    """

    name: str
    context_tokens: int
    image_cells: int
    image_tokens: int
    parameters: int
    language_model: str
    encoder: str
    fusion: str
    precision: str
    seats: int


class Engine:
    """Streams answers of a model. It may be shared between threads.

    Args:
        model: a `VLBMForConditionalGeneration`.
        processor: its `VLBMProcessor`.
        name: what `describe` calls it.
        features: a cache of picture features; engines of several models may share one.
        precision: of the language model's weights (`readers`).
        seats: turns that run together at most; by default 16, on a GPU 64.
        queue: turns that wait for a seat at most.
        tokens: of all running turns, and of what is kept of those before, that the cache has room for; by default
            16,384, or 1,024 for each seat.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        name: str = "vlbm-packaged",
        features: FeatureCache | None = None,
        precision: Precision = "auto",
        seats: int | None = None,
        queue: int = QUEUE,
        tokens: int | None = None,
    ) -> None:
        self.model, self.processor, self.name = model.eval(), processor, name
        self.seats = seats = seats or (SEATS if model.device.type == "cpu" else GPU_SEATS)
        tokens = tokens or max(TOKENS, SEAT_TOKENS * seats)
        read, self.precision = reader(model, precision, tokens, max(ROWS, seats + BESIDE))
        self.eyes = Eyes(model, processor, features or FeatureCache())
        self.loop = Loop(read, seats=seats, queue=queue)
        self._close = finalize(self, self.loop.close)  # also when nobody has the engine any more
        ends = model.language_model.generation_config.eos_token_id
        self.context_tokens = min(context_tokens(model.config.text_config), read.capacity)
        self._grammars = Grammars(processor.tokenizer, int(model.config.text_config.vocab_size))
        self._ends = frozenset(ends if isinstance(ends, list) else [ends])

    def describe(self) -> EngineInfo:
        """The engine's sizes and parts."""
        config = self.model.config
        return EngineInfo(
            name=self.name,
            context_tokens=self.context_tokens,
            image_cells=config.encoder_spec.cells,
            image_tokens=self.processor.picture_tokens,
            parameters=sum(p.numel() for p in self.model.parameters()),
            language_model=str(config.text_config.model_type),
            encoder=config.encoder_spec.name,
            fusion=config.fusion,
            precision=self.precision,
            seats=self.seats,
        )

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens that a conversation takes as a prompt, with the header of the answer."""
        return len(render(self.processor, messages, pictured=bool(latest_pictures(messages))))

    def style(self, picture: PictureRef) -> torch.Tensor:
        """What a visual memory compares a picture by [s], for an entry of an index (`vlbm.memory.index`).

        Raises:
            PictureError: the picture cannot be read.
        """
        return self.eyes.style(picture)

    def forget(self, sha256: str) -> None:
        """Drop all that was seen and read of a picture, in memory and in files."""
        self.eyes.forget(sha256)

    def close(self) -> None:
        """End all turns with an error, and the thread that runs them."""
        self._close()

    def generate(self, request: GenerationRequest, stop: Event | None = None) -> Iterator[Step]:
        """Answer a turn.

        Args:
            request: what is asked.
            stop: another thread may set it to give the turn up within a pass; then there is no `End`.

        The pictures of the latest message take part, or those of the latest that has any where the question is about
        them; the others are reported as not seen. What is written in them is read where the request or the question
        asks for it.

        Yields:
            `Progress` while pictures are read and encoded, while the turn waits and while its prompt is read, `Looked`
            where there are pictures, a `Token` for each token, and one `End`.

        Raises:
            PromptTooLong: prompt and answer do not fit the context.
            PictureError: a picture cannot be read.
            ConfigError: the request asks for a language that the model cannot speak of pictures in, or its schema
                cannot be followed.
            NoWords: the words of a picture are to be the text, and it has none.
            ReadingMissing: words are asked for, and what reads them is not installed.
            EngineBusy: too many turns wait.
            EngineFailed: the model failed on this turn, or the engine was closed.
        """
        wanted = latest_pictures(request.messages)
        use = use_of(request) if wanted else "never"
        request = replace(request, language=self._language(request))  # before the words of a page join the question
        asked = _Asked(request, stop or Event(), wanted)
        return self._checked(asked) if use == "never" else self._with_words(asked, use)

    def _with_words(self, asked: _Asked, use: Use) -> Iterator[Step]:
        """Answer with what is written in the pictures."""
        request = asked.request
        try:
            readings = yield from self.eyes.read(asked.wanted)
        except ReadingMissing:
            if use != "quote":
                raise
            readings = {}
        found, language = list(readings.values()), self._language(request)
        after = quote(found, language) if use == "quote" else ""
        if use == "answer":
            yield from _told(request, readings, answer(found, language))
        elif after and request.prefix.endswith(after):
            yield from _told(request, readings, request.prefix)
        elif use == "text" and (request.reading == "text" or joined(found)):
            about = replace(request, messages=with_text(request.messages, found))
            yield from self._checked(replace(asked, request=about, wanted=(), readings=readings))
        else:
            yield from self._checked(replace(asked, readings=readings, after=after))

    def _checked(self, asked: _Asked) -> Iterator[Step]:
        """Answer what can be answered."""
        request, tokenizer, pictured = asked.request, self.processor.tokenizer, bool(asked.wanted)
        ids = render(self.processor, request.messages, request.prefix, pictured=pictured)
        if len(ids) + request.max_tokens > self.context_tokens:
            raise PromptTooLong(
                prompt_tokens=len(ids), max_tokens=request.max_tokens, context_tokens=self.context_tokens
            )
        begun = tokenizer(request.prefix, add_special_tokens=False)["input_ids"]
        grammar = None if request.schema is None else self._grammars.of(request.schema, begun)
        said = Answer(request, ids, tokenizer=tokenizer, ends=self._ends, pictured=pictured, grammar=grammar)
        yield from self._answer(asked, ids, said)

    def _answer(self, asked: _Asked, ids: list[int], said: Answer) -> Iterator[Step]:
        request, wanted = asked.request, asked.wanted
        language, prompt = self._language(request), len(ids)
        seen = yield from self.eyes.look(wanted, language, request.memory)
        used = {picture.sha256: features for picture, features in zip(wanted, seen, strict=True)}
        uses = accounts(request.messages, used, asked.readings)
        if uses:
            yield Looked(uses)
        visual = gather([[features.visual for features in seen]]) if seen else None
        start = self.processor.fusion_start(ids)
        memories = self.eyes.memories(visual, request, start, wanted, language) if visual else None
        yield from self._run(Turn(request.owner, ids, prompt + request.max_tokens, memories, said, asked.stop))
        if said.reason is None:
            return
        if asked.after and said.reason == "stop":
            yield Token(f" {asked.after}", None, None)
        sure = confidence(visual.evidence, self.processor.tokenizer, request.prefix + said.text) if visual else None
        yield End(
            reason=said.reason,
            prompt_tokens=prompt,
            completion_tokens=said.count,
            image_cells=sum(features.visual.grid.shape[1] for features in seen),
            images=uses,
            confidence=sure,
        )

    def _run(self, turn: Turn) -> Iterator[Step]:
        """Let a turn run, and give it up where nobody listens any more."""
        place = self.loop.submit(turn)
        try:
            yield from turn.says()
        finally:
            self.loop.give_up(place)

    def _language(self, request: GenerationRequest) -> str:
        """What the request asks for, else what its question is asked in."""
        return request.language or answer_language(request.messages[-1].text, self.processor.languages)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked, with the pictures that take part, what was read in them, and what is said after the answer."""

    request: GenerationRequest
    stop: Event
    wanted: Sequence[PictureRef] = ()
    readings: dict[str, Reading] = field(default_factory=dict)
    after: str = ""


def _told(request: GenerationRequest, readings: dict[str, Reading], text: str) -> Iterator[Step]:
    """An answer that the model has no part in; what is gone on from is not said again."""
    uses = accounts(request.messages, {}, readings)
    yield Looked(uses)
    yield Token(text.removeprefix(request.prefix), None, None)
    yield End(reason="stop", prompt_tokens=0, completion_tokens=0, image_cells=0, images=uses)
