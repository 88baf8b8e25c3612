"""What is taken of an owner's allowance, and when: a turn before it is promised, a picture before it is kept."""

import logging
from contextlib import AbstractAsyncContextManager

from assistant.domain.errors import Unavailable
from assistant.domain.limits import Allowances, Standing
from assistant.ports.conversations import Bell, Dropped
from assistant.ports.limits import LimitStore, Turn

log = logging.getLogger(__name__)
DEFAULT_TOKENS = 512
"""Taken in advance for an answer whose length nobody bounded; the difference is settled at its end."""


class Limits:
    """The limits of this service's owners."""

    def __init__(self, store: LimitStore, allowances: Allowances) -> None:
        self._store = store
        self._allowances = allowances

    async def begin_turn(self, owner: str, turn_id: str, max_tokens: int | None) -> None:
        """Take a turn and its tokens. Raises ``LimitReached``, and then nothing was taken."""
        tokens = max_tokens if max_tokens is not None else self._usual_tokens()
        await self._store.take(owner, {"turns": 1, "tokens": tokens}, self._allowances, Turn(turn_id, tokens))

    async def undo_turn(self, owner: str, turn_id: str) -> None:
        """Give back what ``begin_turn`` took: the turn was not accepted, or had been before."""
        await self._store.settle(owner, turn_id, 0, refund=True)

    async def drop_turns(self, owner: str, dropped: Dropped) -> None:
        """Count turns no longer whose conversation is gone: their workers may not come to it.

        Of one that had begun nobody knows what it generated, and what was taken stays so; the others are given back.
        """
        try:
            for turn_id in dropped.begun:
                await self._store.settle(owner, turn_id, None)
            for turn_id in dropped.waiting:
                await self._store.settle(owner, turn_id, 0, refund=True)
        except Unavailable:
            log.warning("turns of a deleted conversation are not settled")  # they come back by themselves

    async def begin_picture(self, owner: str, size: int) -> None:
        """Take the bytes of a picture before they are sent, and a pixel: where none is left, none need be sent.

        Raises:
            LimitReached: nothing was taken.
        """
        await self._store.take(owner, {"bytes": size, "pixels": 1}, self._allowances)

    async def return_bytes(self, owner: str, size: int) -> None:
        """Give back bytes of a picture that were taken and never came."""
        try:
            await self._store.take(owner, {"bytes": -size}, self._allowances)
        except Unavailable:
            log.warning("bytes of a picture are not given back")  # they come back by themselves

    async def keep_picture(self, owner: str, pixels: int) -> None:
        """Take the pixels of a picture before it is kept. Raises ``LimitReached``."""
        await self._store.take(owner, {"pixels": pixels - 1}, self._allowances)

    async def standing(self, owner: str) -> Standing:
        """What is left."""
        return await self._store.standing(owner, self._allowances.buckets)

    async def add_socket(self, owner: str, gateway: str, count: int) -> None:
        """Count the sockets that a gateway has, one of them new. Raises ``LimitReached``, and then nothing changed."""
        if self._allowances.sockets:
            await self._store.hold_sockets(owner, gateway, count, self._allowances.sockets)

    async def keep_sockets(self, owner: str, gateway: str, count: int) -> None:
        """Count the sockets that a gateway still has."""
        if self._allowances.sockets:
            await self._store.hold_sockets(owner, gateway, count, 0)

    def watch(self, owner: str) -> AbstractAsyncContextManager[Bell]:
        """A bell that rings when what is left changed."""
        return self._store.watch(owner)

    def _usual_tokens(self) -> int:
        bucket = self._allowances.buckets.get("tokens")
        return min(DEFAULT_TOKENS, bucket.most) if bucket else DEFAULT_TOKENS
