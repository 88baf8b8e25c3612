"""The fused model as an engine: the only file of the service that imports ``vlbm``.

The model runs all turns together in a thread of its own; a turn's thread looks at its pictures and then waits for its
tokens, which cross to the event loop as they come. Closing the stream sets a mark that ends the turn within a token.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.domain.errors import AssistantError, EngineError, InvalidRequest, trace
from assistant.ports.engine import (
    End,
    Engine,
    EngineEvent,
    EngineInfo,
    EngineMessage,
    EnginePicture,
    EngineRequest,
    Looked,
    PictureUse,
    Progress,
    Taught,
    Token,
)

if TYPE_CHECKING:
    import vlbm.engine as model_engine
    from vlbm.evidence.neighbours import Lent

log = logging.getLogger(__name__)
DEFAULT_MAX_TOKENS = 256
MOST_MEMORIES = 16
"""So many owners' memories are kept ready."""
_CAUTIONS = {
    "translate": "The packaged model translates free text badly; check every word, or use a larger model.",
    "summarise": "The packaged model is small: its summaries may leave out or bend facts.",
}
NICENESS = 10
_FAILED = "The model failed on this message; try again or shorten it."
_NOT_SEEN = "only the newest message's pictures are looked at"


def _give_way() -> None:
    """Let a thread that computes wait for the event loop's, which has little to do, and that at once."""
    if sys.platform == "linux":  # where threads have priorities of their own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class VlbmEngine(Engine):
    """Answers with a ``vlbm`` model, as many turns together as it has seats.

    Make it with ``load``, which takes seconds and blocks.
    """

    def __init__(self, engine: "model_engine.Engine", *, cautions: dict[str, str]) -> None:
        from vlbm.memory.teach import encoder_identity

        self._engine = engine
        described = engine.describe()
        # A thread for each turn, and one that looks at what is taught.
        self._threads = ThreadPoolExecutor(described.seats + 1, thread_name_prefix="vlbm", initializer=_give_way)
        self._lent = lru_cache(MOST_MEMORIES)(self._lend)
        self.info = EngineInfo(
            name="vlbm",
            model=described.name,
            context_tokens=described.context_tokens,
            default_max_tokens=DEFAULT_MAX_TOKENS,
            slots=described.seats,
            cautions=cautions,
            encoder=encoder_identity(engine.model, engine.processor),
        )

    @classmethod
    def load(cls, name: str, say: Callable[[str], None], features: Path | None = None) -> "VlbmEngine":
        """Load a model by name or folder.

        Args:
            say: told what takes long.
            features: folder where what was seen of pictures outlives this process.

        Raises:
            InvalidRequest: it cannot be loaded; the message says which and what to do.
        """
        import vlbm
        import vlbm.engine
        import vlbm.errors

        try:
            model, processor = vlbm.load(name, progress=say, device="auto")
            seen = vlbm.engine.FeatureCache(files=vlbm.engine.FeatureFiles(features) if features else None)
            with ThreadPoolExecutor(1, initializer=_give_way) as behind:  # the engine's threads are as their maker is
                make = partial(vlbm.engine.Engine, model, processor, name=name, features=seen)
                engine = behind.submit(make).result()
        except vlbm.errors.VLBMError as error:
            raise InvalidRequest("model_unreadable", f"Model {name!r}: {error}") from error
        return cls(engine, cautions=_CAUTIONS if name == "packaged" else {})

    def count_tokens(self, messages: Sequence[EngineMessage]) -> int:
        return self._engine.count_tokens(_messages(messages))

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent]:
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[EngineEvent | AssistantError | None] = asyncio.Queue()
        stop = threading.Event()

        def emit(event: EngineEvent | AssistantError | None) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        working = loop.run_in_executor(self._threads, self._work, request, emit, stop)
        try:
            while (event := await events.get()) is not None:
                if isinstance(event, AssistantError):
                    raise event
                yield event
        finally:
            stop.set()
            await asyncio.shield(working)  # the slot is free only when the thread is

    async def look_at(self, picture: EnginePicture) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._style, picture)

    async def forget(self, sha256: str) -> None:
        await asyncio.to_thread(self._engine.forget, sha256)

    async def close(self) -> None:
        await asyncio.to_thread(self._engine.close)
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    def _style(self, picture: EnginePicture) -> bytes:
        """The style of a picture in half precision, as an index keeps it."""
        from vlbm.errors import VLBMError

        try:
            style = self._engine.style(_reference(picture))
        except VLBMError as error:
            raise EngineError("engine_refused", str(error)) from error
        half: bytes = style.half().numpy().tobytes()
        return half

    def _lend(self, memory: tuple[Taught, ...]) -> "Lent":
        """What an owner has taught, as the model takes it."""
        import torch

        from vlbm.memory.index import Entry, Index
        from vlbm.memory.teach import teach

        entries = tuple(Entry(taught.text, taught.language, taught.sha256, "") for taught in memory)
        rows = [torch.frombuffer(bytearray(taught.style), dtype=torch.float16).float() for taught in memory]
        return teach(self._engine.model, self._engine.processor, Index(self.info.encoder, entries, torch.stack(rows)))

    def _work(
        self,
        request: EngineRequest,
        emit: Callable[[EngineEvent | AssistantError | None], None],
        stop: threading.Event,
    ) -> None:
        """Run a request in the thread; whatever happens, the stream gets an end."""
        try:
            for event in self._steps(request, stop):
                if stop.is_set():
                    return
                emit(event)
            emit(None)
        except AssistantError as error:
            emit(error)
        except Exception as error:
            log.error("the model failed: %s", trace(error))
            emit(EngineError("engine_failed", _FAILED))

    def _steps(self, request: EngineRequest, stop: threading.Event) -> Generator[EngineEvent]:
        from vlbm import engine as model
        from vlbm.errors import EngineFailed, VLBMError

        start = time.perf_counter()
        first: float | None = None
        try:
            for step in self._engine.generate(self._generation(request), stop):
                match step:
                    case model.Progress(stage, done, total):
                        yield Progress(stage, done, total)
                    case model.Looked(images):
                        yield Looked(_uses(request, {use.sha256: use for use in images if use.seen}))
                    case model.Token(text, _, weight):
                        first = first or _since(start)
                        yield Token(text, weight)
                    case model.End():
                        yield End(
                            reason=step.reason,
                            prompt_tokens=step.prompt_tokens,
                            completion_tokens=step.completion_tokens,
                            image_cells=step.image_cells,
                            first_token_ms=first or _since(start),
                            total_ms=_since(start),
                            confidence=step.confidence,
                        )
        except EngineFailed as error:
            raise EngineError("engine_failed", _FAILED) from error
        except VLBMError as error:
            raise EngineError("engine_refused", str(error)) from error

    def _generation(self, request: EngineRequest) -> "model_engine.GenerationRequest":
        from vlbm import engine as model

        options = request.options
        return model.GenerationRequest(
            messages=_messages(request.messages),
            prefix=request.prefix,
            max_tokens=options.max_tokens or DEFAULT_MAX_TOKENS,
            temperature=options.temperature or 0.0,
            top_p=options.top_p or 1.0,
            seed=options.seed,
            reading=request.reading,
            memory=self._lent(request.memory) if request.memory else None,
            owner=request.owner,
        )


def _reference(picture: EnginePicture) -> "model_engine.PictureRef":
    from vlbm import engine as model

    return model.PictureRef(picture.sha256, partial(bytes, picture.data))


def _uses(request: EngineRequest, seen: "dict[str, model_engine.PictureUse]") -> tuple[PictureUse, ...]:
    """What became of each picture by its id: the model knows pictures by their hash, which several ids may share."""
    pictures = {picture.image_id: picture for message in request.messages for picture in message.pictures}
    return tuple(_use(image_id, seen.get(picture.sha256)) for image_id, picture in pictures.items())


def _use(image_id: str, use: "model_engine.PictureUse | None") -> PictureUse:
    if use is None:
        return PictureUse(image_id, seen=False, reason=_NOT_SEEN)
    return PictureUse(image_id, seen=True, read=use.read or None, notes=use.notes)


def _messages(messages: Sequence[EngineMessage]) -> "tuple[model_engine.Message, ...]":
    from vlbm import engine as model

    return tuple(
        model.Message(
            message.role,
            message.text,
            tuple(map(_reference, message.pictures)),
        )
        for message in messages
    )


def _since(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 3)
