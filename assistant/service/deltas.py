"""Deltas: tokens gathered for a few milliseconds and appended together, so that a fast model costs few writes.

The first token goes out at once. A slow model's tokens each go out as they come.
"""

import asyncio
import contextlib

from assistant.domain.events import TokenWeight, TurnDelta
from assistant.ports.engine import Token
from assistant.ports.queue import Claim, TurnQueue

GATHER_SECONDS = 0.03


class DeltaWriter:
    """Writes the text of one turn. Use as an asynchronous context manager; leaving it normally writes the rest.

    Raises:
        LostClaim: from ``add`` or on leaving, when the turn is no longer this worker's.
    """

    def __init__(self, queue: TurnQueue, claim: Claim) -> None:
        self._queue = queue
        self._claim = claim
        self._waiting: list[Token] = []
        self._news = asyncio.Event()
        self._leaving = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self.text = claim.committed
        """All text of the answer so far, an earlier attempt's included."""

    async def __aenter__(self) -> "DeltaWriter":
        self._writer = asyncio.create_task(self._write_on(), name="deltas")
        return self

    async def __aexit__(self, *_: object) -> None:
        # Not cancelled: a write that has begun is finished, or nobody would know whether it happened.
        self._leaving.set()
        self._news.set()
        if self._writer is not None:
            await self._writer

    def add(self, token: Token) -> None:
        """Take a token; it is written soon."""
        if self._writer is not None and self._writer.done():
            self._writer.result()
        self.text += token.text
        self._waiting.append(token)
        self._news.set()

    async def _write_on(self) -> None:
        while self._waiting or not self._leaving.is_set():
            await self._news.wait()
            self._news.clear()
            await self._write()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._leaving.wait()

    async def _write(self) -> None:
        tokens, self._waiting = self._waiting, []
        text = "".join(token.text for token in tokens)
        if not text:
            return
        weights = tuple(
            TokenWeight(text=token.text, image_weight=round(token.image_weight, 4))
            for token in tokens
            if token.image_weight is not None
        )
        delta = TurnDelta(turn_id=self._claim.turn_id, text=text, tokens=weights or None)
        await self._queue.append(self._claim, [delta])
