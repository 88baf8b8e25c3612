"""Answers one turn at a time, as a stream of steps.

`generate` is a plain generator: it runs in the caller's thread, one token a step, and closing it stops the work before
the next token. A lock keeps turns apart, so an engine may be shared between threads. The engine knows the model and
nothing of who asks.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Literal, NamedTuple

import torch

from vlbm.engine.answer_language import answer_language
from vlbm.engine.decoder import Decoder
from vlbm.engine.features import Cache, FeatureCache, Features, Key, encode
from vlbm.engine.request import End, GenerationRequest, Looked, Message, PictureRef, PictureUse, Progress, Step, Token
from vlbm.engine.sampling import Sampler
from vlbm.engine.text import Detokenizer, asks_about_a_picture, render
from vlbm.engine.words import Use, answer, asks_about_writing, joined, quote, use_of, with_text
from vlbm.errors import PromptTooLong, ReadingMissing
from vlbm.evidence.neighbours import Lent
from vlbm.evidence.said import confidence
from vlbm.fingerprint import fingerprint
from vlbm.fusion import Prepared
from vlbm.language import context_tokens
from vlbm.perception import Visual, gather, style_of
from vlbm.pictures import open_picture, shortcomings
from vlbm.reading import Reading, read


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
    """

    name: str
    context_tokens: int
    image_cells: int
    image_tokens: int
    parameters: int
    language_model: str
    encoder: str
    fusion: str


class Engine:
    """Streams answers of a model.

    Args:
        model: a `VLBMForConditionalGeneration`.
        processor: its `VLBMProcessor`.
        name: what `describe` calls it.
        features: a cache of picture features; engines of several models may share one.
    """

    def __init__(
        self, model: Any, processor: Any, *, name: str = "vlbm-packaged", features: FeatureCache | None = None
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self.name = name
        self.features = features or FeatureCache()
        self.readings: Cache[Reading] = Cache()
        self._identity = _identity(model)
        self._turn = Lock()

    def describe(self) -> EngineInfo:
        """The engine's sizes and parts."""
        config = self.model.config
        return EngineInfo(
            name=self.name,
            context_tokens=context_tokens(config.text_config),
            image_cells=config.encoder_spec.cells,
            image_tokens=self.processor.picture_tokens,
            parameters=sum(p.numel() for p in self.model.parameters()),
            language_model=str(config.text_config.model_type),
            encoder=config.encoder_spec.name,
            fusion=config.fusion,
        )

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens that a conversation takes as a prompt, with the header of the answer."""
        return len(render(self.processor, messages, pictured=bool(_latest_pictures(messages))))

    def style(self, picture: PictureRef) -> torch.Tensor:
        """What a visual memory compares a picture by [s], for an entry of an index (`vlbm.memory.index`).

        Raises:
            PictureError: the picture cannot be read.
        """
        with self._turn:
            return style_of(self.model, self.processor, picture.load())

    def generate(self, request: GenerationRequest) -> Iterator[Step]:
        """Answer a turn.

        The pictures of the latest message take part, or those of the latest that has any where the question is about
        them; the others are reported as not seen. What is written in them is read where the request or the question
        asks for it.

        Yields:
            `Progress` while pictures are read and encoded and the prompt is read, `Looked` where there are pictures, a
            `Token` for each token, and one `End`.

        Raises:
            PromptTooLong: prompt and answer do not fit the context.
            PictureError: a picture cannot be read.
            ConfigError: the request asks for a language that the model cannot speak of pictures in.
            NoWords: the words of a picture are to be the text, and it has none.
            ReadingMissing: words are asked for, and what reads them is not installed.
        """
        wanted = _latest_pictures(request.messages)
        use = use_of(request) if wanted else "never"
        request = replace(request, language=self._language(request))  # before the words of a page join the question
        return self._checked(request, wanted, {}) if use == "never" else self._with_words(request, wanted, use)

    def _with_words(self, request: GenerationRequest, wanted: Sequence[PictureRef], use: Use) -> Iterator[Step]:
        """Answer with what is written in the pictures."""
        try:
            readings = yield from self._read(wanted)
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
            yield from self._checked(replace(request, messages=with_text(request.messages, found)), (), readings)
        else:
            yield from self._checked(request, wanted, readings, after)

    def _checked(
        self, request: GenerationRequest, wanted: Sequence[PictureRef], readings: dict[str, Reading], after: str = ""
    ) -> Iterator[Step]:
        ids = render(self.processor, request.messages, request.prefix, pictured=bool(wanted))
        context = context_tokens(self.model.config.text_config)
        if len(ids) + request.max_tokens > context:
            raise PromptTooLong(prompt_tokens=len(ids), max_tokens=request.max_tokens, context_tokens=context)
        with self._turn:
            yield from self._answer(request, ids, wanted, readings, after)

    def _answer(
        self,
        request: GenerationRequest,
        ids: list[int],
        wanted: Sequence[PictureRef],
        readings: dict[str, Reading],
        after: str,
    ) -> Iterator[Step]:
        seen: list[Features] = []
        language = self._language(request)
        for done, picture in enumerate(wanted):
            yield Progress("encoding", done, len(wanted))
            seen.append(self._features(picture, language, request.memory))
        if wanted:
            yield Progress("encoding", len(wanted), len(wanted))
        used = {picture.sha256: features for picture, features in zip(wanted, seen, strict=True)}
        accounts = _accounts(request.messages, used, readings)
        if accounts:
            yield Looked(accounts)
        start = self.processor.fusion_start(ids)
        visual = gather([[features.visual for features in seen]]) if seen else None
        memories = None if visual is None else self._remembered(visual, request, start)
        decoder = Decoder(self.model, ids, start, memories)
        for done in decoder.prefill():
            yield Progress("prefill", done, len(ids))
        said = yield from _said(request, ids, decoder, self.processor.tokenizer)
        if after and said.reason == "stop":
            yield Token(f" {after}", None, None)
        yield End(
            reason=said.reason,
            prompt_tokens=len(ids),
            completion_tokens=said.tokens,
            image_cells=sum(features.visual.grid.shape[1] for features in seen),
            images=accounts,
            confidence=None
            if visual is None
            else confidence(visual.evidence, self.processor.tokenizer, request.prefix + said.text),
        )

    @torch.inference_mode()
    def _remembered(self, visual: Visual, request: GenerationRequest, start: int) -> list[Prepared]:
        """What the fused layers attend to."""
        asked = render(self.processor, request.messages, pictured=True)[start:]  # no word of the answer's beginning
        memories: list[Prepared] = self.model.remember(visual, torch.tensor([asked]))
        return memories

    def _language(self, request: GenerationRequest) -> str:
        """What the request asks for, else what its question is asked in."""
        return request.language or answer_language(request.messages[-1].text, self.processor.languages)

    def _read(self, wanted: Sequence[PictureRef]) -> Generator[Step, None, dict[str, Reading]]:
        """What is written in pictures, by their hash."""
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

    def _features(self, picture: PictureRef, language: str, memory: Lent | None) -> Features:
        key = Key(self._identity, picture.sha256, language, memory.id if memory else "")
        found = self.features.get(key)
        if found is None:
            found = encode(self.model, self.processor, picture, language, memory)
            self.features.put(key, found)
        return found


class _Said(NamedTuple):
    """What the model said, and why it ended."""

    text: str
    tokens: int
    reason: Literal["stop", "length"]


def _said(request: GenerationRequest, ids: list[int], decoder: Decoder, tokenizer: Any) -> Generator[Step, None, _Said]:
    """Say an answer token by token, to its end, a stop string or its length."""
    sampler, text = Sampler(request, ids), Detokenizer(tokenizer, request.stop)
    reason: Literal["stop", "length"] = "length"
    pieces, count = list[str](), 0
    while count < request.max_tokens:
        token, weight = sampler.choose(decoder.logits), decoder.image_weight
        count += 1
        if token in decoder.end_tokens:
            reason = "stop"
            break
        piece = text.push(token)
        if text.stopped or count == request.max_tokens:
            piece += text.finish()
        pieces.append(piece)
        yield Token(piece, token, weight)
        if text.stopped:
            reason = "stop"
            break
        if count < request.max_tokens:
            decoder.step(token)
    if rest := text.finish():
        pieces.append(rest)
        yield Token(rest, token, weight)
    return _Said("".join(pieces), count, reason)


def _told(request: GenerationRequest, readings: dict[str, Reading], text: str) -> Iterator[Step]:
    """An answer that the model has no part in; what is gone on from is not said again."""
    accounts = _accounts(request.messages, {}, readings)
    yield Looked(accounts)
    yield Token(text.removeprefix(request.prefix), None, None)
    yield End(reason="stop", prompt_tokens=0, completion_tokens=0, image_cells=0, images=accounts)


def _latest_pictures(messages: Sequence[Message]) -> tuple[PictureRef, ...]:
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


def _accounts(
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
