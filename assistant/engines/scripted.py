"""An engine that answers from a seeded script at a set pace: everything but the model can be tried with it, fast.

It looks at nothing and knows nothing; its words follow from the question and the seed alone.
"""

import asyncio
import random
import re
import time
from collections.abc import AsyncGenerator, Sequence

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
    Token,
)

_TEXT = """
the picture shows a small grey cat beside blue cups on an old wooden table near bright windows while rain falls over
green hills and people wait for the next red bus — café, naïve, 猫 🐈
"""
_WORDS = tuple(_TEXT.split())


class ScriptedEngine(Engine):
    """Answers with 12 to 40 words of a fixed list.

    Args:
        delay_ms: time between tokens.
        seed: another seed, other answers.
        tokens: words of every answer, instead of 12 to 40.
    """

    def __init__(self, *, delay_ms: float = 20.0, seed: int = 0, tokens: int | None = None, slots: int = 256) -> None:
        self._delay = delay_ms / 1000
        self._seed = seed
        self._tokens = tokens
        self.info = EngineInfo(
            name="scripted",
            model="scripted-1",
            context_tokens=8192,
            default_max_tokens=512,
            slots=slots,
            cautions={"translate": "This engine is a script: it does not translate."},
            encoder="scripted",
        )

    def count_tokens(self, messages: Sequence[EngineMessage]) -> int:
        return sum(len(message.text.split()) + 4 for message in messages)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineEvent]:
        start = time.perf_counter()
        pictures = [picture for message in request.messages for picture in message.pictures]
        if pictures:
            yield Progress("encoding", 0, len(pictures))
            yield Looked(tuple(PictureUse(picture.image_id, seen=True) for picture in pictures))
        words = self._script(request)
        most = request.options.max_tokens or self.info.default_max_tokens
        count = min(len(words), most)
        first = 0.0
        sent = ""
        for word in words[:count]:
            sent += word
            if len(sent) <= len(request.prefix):  # an earlier attempt has sent this
                continue
            await asyncio.sleep(self._delay)
            first = first or _since(start)
            yield Token(word, image_weight=(len(word) % 10) / 10 if pictures else None)
        yield End(
            reason="length" if count < len(words) else "stop",
            prompt_tokens=self.count_tokens(request.messages),
            completion_tokens=count,
            image_cells=49 * len(pictures),
            first_token_ms=first,
            total_ms=_since(start),
        )

    async def look_at(self, picture: EnginePicture) -> bytes:
        return picture.sha256.encode()

    async def forget(self, sha256: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is held."""

    def _script(self, request: EngineRequest) -> list[str]:
        last = request.messages[-1]
        chooser = random.Random(f"{self._seed}|{last.text}|{[p.sha256 for p in last.pictures]}")  # noqa: S311
        length = self._tokens or chooser.randint(12, 40)
        text = " ".join(chooser.choice(_WORDS) for _ in range(length)).capitalize() + "."
        return re.findall(r"\s*\S+", text)


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
