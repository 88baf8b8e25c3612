"""Answers one turn at a time, as a stream of steps.

`generate` is a plain generator: it runs in the caller's thread, one token a step, and closing it stops the work before
the next token. A lock keeps turns apart, so an engine may be shared between threads. The engine knows the model and
nothing of who asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch

from vlbm.engine.answer_language import answer_language
from vlbm.engine.features import FeatureCache, Features, Key, encode
from vlbm.engine.request import End, GenerationRequest, Looked, Message, PictureRef, PictureUse, Progress, Step, Token
from vlbm.engine.sampling import Sampler
from vlbm.engine.text import Detokenizer, asks_about_a_picture, render
from vlbm.errors import PromptTooLong
from vlbm.fingerprint import fingerprint
from vlbm.language import context_tokens

PREFILL_CHUNK = 256
PREFILL_THREADS = torch.get_num_threads()
DECODE_THREADS = max(1, PREFILL_THREADS - 1)
"""Reading a prompt is bound by arithmetic and takes every core. Decoding is bound by memory: a core fewer makes it no
slower, and leaves that core to whoever sends the tokens on."""


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

    def generate(self, request: GenerationRequest) -> Iterator[Step]:
        """Answer a turn.

        The pictures of the latest message take part, or those of the latest that has any where the question is about
        them; the others are reported as not seen.

        Yields:
            `Progress` while pictures are encoded and the prompt is read, `Looked` where there are pictures, a `Token`
            for each token, and one `End`.

        Raises:
            PromptTooLong: prompt and answer do not fit the context.
            PictureError: a picture cannot be read.
            ConfigError: the request asks for a language that the model cannot speak of pictures in.
        """
        wanted = _latest_pictures(request.messages)
        ids = render(self.processor, request.messages, request.prefix, pictured=bool(wanted))
        context = context_tokens(self.model.config.text_config)
        if len(ids) + request.max_tokens > context:
            raise PromptTooLong(prompt_tokens=len(ids), max_tokens=request.max_tokens, context_tokens=context)
        with self._turn:
            yield from self._answer(request, ids, wanted)

    def _answer(self, request: GenerationRequest, ids: list[int], wanted: Sequence[PictureRef]) -> Iterator[Step]:
        seen: list[Features] = []
        known = self.processor.languages
        language = request.language or answer_language(request.messages[-1].text, known)
        for done, picture in enumerate(wanted):
            yield Progress("encoding", done, len(wanted))
            seen.append(self._features(picture, language))
        if wanted:
            yield Progress("encoding", len(wanted), len(wanted))
        used = {picture.sha256: features for picture, features in zip(wanted, seen, strict=True)}
        accounts = _accounts(request.messages, used)
        if accounts:
            yield Looked(accounts)
        decoder = _Decoder(self.model, ids, self.processor.fusion_start(ids), _join(seen))
        for done in decoder.prefill():
            yield Progress("prefill", done, len(ids))
        sampler = Sampler(request, ids)
        text = Detokenizer(self.processor.tokenizer, request.stop)
        reason, count = "length", 0
        while count < request.max_tokens:
            token = sampler.choose(decoder.logits)
            count += 1
            weight = decoder.image_weight
            if token in decoder.end_tokens:
                reason = "stop"
                break
            piece = text.push(token)
            if text.stopped or count == request.max_tokens:
                piece += text.finish()
            yield Token(piece, token, weight)
            if text.stopped:
                reason = "stop"
                break
            if count < request.max_tokens:
                decoder.step(token)
        if rest := text.finish():
            yield Token(rest, token, weight)
        yield End(
            reason="stop" if reason == "stop" else "length",
            prompt_tokens=len(ids),
            completion_tokens=count,
            image_cells=sum(features.visual.grid.shape[1] for features in seen),
            images=accounts,
        )

    def _features(self, picture: PictureRef, language: str) -> Features:
        key = Key(self._identity, picture.sha256, language)
        found = self.features.get(key)
        if found is None:
            found = encode(self.model, self.processor, picture, language)
            self.features.put(key, found)
        return found


class _Decoder:
    """One answer's state: the key-value cache and the logits for the next token [vocabulary]."""

    def __init__(self, model: Any, ids: list[int], fusion_from: int, memories: Any) -> None:
        from transformers import DynamicCache

        self.model, self.ids, self.memories = model, ids, memories
        self.fusion_from = torch.tensor([fusion_from])
        self.cache = DynamicCache(config=model.language_model.config)
        ends = model.language_model.generation_config.eos_token_id
        self.end_tokens = set(ends if isinstance(ends, list) else [ends])
        self.logits = torch.empty(0)
        self.image_weight: float | None = None

    def prefill(self) -> Iterator[int]:
        """Read the prompt in chunks, so that a cancel is heeded within one; yields how many tokens are read."""
        for start in range(0, len(self.ids), PREFILL_CHUNK):
            self._run(self.ids[start : start + PREFILL_CHUNK], PREFILL_THREADS)
            yield min(start + PREFILL_CHUNK, len(self.ids))

    def step(self, token: int) -> None:
        """Read one token of the answer."""
        self._run([token], DECODE_THREADS)

    def _run(self, tokens: list[int], threads: int) -> None:
        torch.set_num_threads(threads)
        # Entered for each call rather than once a turn: the mode is a thread's, and the caller runs between steps.
        with torch.inference_mode():
            out = self.model(
                input_ids=torch.tensor([tokens]),
                memories=self.memories,
                fusion_from=self.fusion_from,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self.logits = out.logits[0, -1]
        self.image_weight = None if out.image_weight is None else float(out.image_weight[0, -1])


def _latest_pictures(messages: Sequence[Message]) -> tuple[PictureRef, ...]:
    """The pictures that take part: the latest message's, or earlier ones where the latest asks about them.

    A small model that is shown a picture talks of it. "Tell me a joke." is therefore answered without the picture that
    was sent two messages ago, as the bare language model would answer it.
    """
    if not messages or (not messages[-1].images and not asks_about_a_picture(messages[-1].text)):
        return ()
    return next((message.images for message in reversed(messages) if message.images), ())


def _join(seen: Sequence[Features]) -> Any:
    """One memory of all pictures, slot after slot; None without pictures."""
    if not seen:
        return None
    from vlbm.fusion import Prepared

    def joined(index: int) -> Prepared:
        layers = [features.memories[index] for features in seen]
        return Prepared(
            keys=torch.cat([layer.keys for layer in layers], dim=2),
            values=torch.cat([layer.values for layer in layers], dim=2),
            copies=torch.cat([layer.copies for layer in layers], dim=1),
            mask=torch.cat([layer.mask for layer in layers], dim=3),
        )

    return [joined(index) for index in range(len(seen[0].memories))]


def _accounts(messages: Sequence[Message], used: dict[str, Features]) -> tuple[PictureUse, ...]:
    """What became of each picture of the conversation, in its order, each hash once."""
    hashes = dict.fromkeys(picture.sha256 for message in messages for picture in message.images)
    return tuple(
        PictureUse(sha256, True, used[sha256].width, used[sha256].height)
        if sha256 in used
        else PictureUse(sha256, False, 0, 0)
        for sha256 in hashes
    )


def _identity(model: Any) -> str:
    """A short digest of what turns a picture into features: configuration and trained parts."""
    parts = ("encoder.", "memory.", "evidence.", "fusions.")
    seeing = ((name, value) for name, value in model.state_dict().items() if name.startswith(parts))
    return fingerprint(seeing, model.config.to_json_string())[:16]
