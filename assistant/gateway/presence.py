"""Which owners are connected here: holds the lease on their sockets, and tells them what is left of their limits.

One task and one subscription an owner, however many sockets there are.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

from assistant.domain.errors import AssistantError
from assistant.domain.limits import Standing
from assistant.gateway.wire.answers import LimitsUpdated
from assistant.service.limits import Limits

log = logging.getLogger(__name__)
RENEW_SECONDS = 20.0
"""Well below the lease of the store."""
NOTABLE = 0.1
"""A change of so large a part of what was told before is told; so is that nothing is left, or something again."""
PAUSE_SECONDS = 0.5
"""So often at most."""

Tell = Callable[[LimitsUpdated], Awaitable[None]]


class _Present:
    """The sockets of one owner."""

    def __init__(self) -> None:
        self.tell: set[Tell] = set()
        self.news: asyncio.Task[None] | None = None
        self.told: Standing | None = None
        self.lock = asyncio.Lock()
        """Held while the count is written: the last one written is the last one that was true."""
        self.written = 0


class Presence:
    """The owners of one gateway."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._gateway = secrets.token_urlsafe(9)
        self._owners: dict[str, _Present] = {}

    async def enter(self, owner: str, tell: Tell) -> Standing:
        """Count a socket of an owner; what is left of the owner's limits.

        Raises:
            LimitReached: the owner has too many; it is not counted.
        """
        present = self._owners.setdefault(owner, _Present())
        present.tell.add(tell)
        try:
            async with present.lock:
                await self._limits.add_socket(owner, self._gateway, len(present.tell))
                present.written = len(present.tell)
            standing = await self._limits.standing(owner)
        except BaseException:
            await self.leave(owner, tell)
            raise
        if present.told is None:
            present.told = standing
        if standing.remaining and present.news is None and present.tell:
            present.news = asyncio.create_task(self._tell_news(owner, present), name="limits")
        return standing

    async def leave(self, owner: str, tell: Tell) -> None:
        """A socket is gone."""
        present = self._owners.get(owner)
        if present is None or tell not in present.tell:
            return
        present.tell.discard(tell)
        with contextlib.suppress(AssistantError):  # the lease ends by itself
            await self._hold(owner, present)
        if not present.tell and self._owners.get(owner) is present and not present.lock.locked():
            del self._owners[owner]
            if present.news is not None:
                present.news.cancel()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the leases while the context is open."""
        renewal = asyncio.create_task(self._renew(), name="leases of sockets")
        try:
            yield
        finally:
            news = [present.news for present in self._owners.values() if present.news is not None]
            for task in (renewal, *news):
                task.cancel()
            await asyncio.gather(renewal, *news, return_exceptions=True)

    async def _hold(self, owner: str, present: _Present, *, renew: bool = False) -> None:
        async with present.lock:
            count = len(present.tell)
            if renew or count != present.written:  # many may have left while the lock was waited for
                await self._limits.keep_sockets(owner, self._gateway, count)
                present.written = count

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for owner, present in list(self._owners.items()):
                try:
                    await self._hold(owner, present, renew=True)
                except AssistantError as error:  # the store is away
                    log.info("a lease of sockets is not renewed: %s", error.code)

    async def _tell_news(self, owner: str, present: _Present) -> None:
        async with self._limits.watch(owner) as bell:
            while True:
                await bell.wait()
                try:
                    standing = await self._limits.standing(owner)
                except AssistantError:
                    continue  # the bell rings when the store is back
                if present.told is None or is_notable(present.told, standing):
                    present.told = standing
                    event = LimitsUpdated(remaining=standing.remaining, reset=standing.reset)
                    await asyncio.gather(*(tell(event) for tell in present.tell), return_exceptions=True)
                await asyncio.sleep(PAUSE_SECONDS)


def is_notable(before: Standing, now: Standing) -> bool:
    """Whether a client would want to know."""
    for name, left in now.remaining.items():
        told = before.remaining.get(name, 0)
        if (told == 0) != (left == 0) or abs(left - told) > NOTABLE * max(told, left):
            return True
    return False
