"""Pictures whose bytes are gone: whoever has made something of them, in whatever process, is told to drop it.

A short log of hashes and a bell. What a worker missed while it was away it reads when it comes back; one that was away
for longer keeps what it saw of a picture until its own cache, which is bounded, drops it.
"""

import asyncio
import logging

from redis.asyncio import Redis

from assistant.domain.errors import trace
from assistant.ports.pictures import Seen
from assistant.stores import keys
from assistant.stores.bells import Bells
from assistant.stores.connection import Script, entries, raise_if_cancelled

log = logging.getLogger(__name__)
KEPT_SECONDS = 86400
PAUSE_SECONDS = 1.0
_PAGE = 1000


class Forgotten:
    """The log of forgotten pictures on one Redis."""

    def __init__(self, client: Redis, bells: Bells) -> None:
        self._redis = client
        self._bells = bells
        self._forget = Script.named("forget")

    async def tell(self, sha256: str) -> None:
        """Say that the bytes with this hash are gone."""
        await self._forget.run(self._redis, [keys.FORGOTTEN], [sha256, KEPT_SECONDS, keys.FORGOTTEN_BELL])

    async def follow(self, seen: Seen) -> None:
        """Pass on what was told lately and what is told from now on; never returns."""
        last = "0-0"
        async with self._bells.watch(keys.FORGOTTEN_BELL) as bell:
            while True:
                raise_if_cancelled()
                await bell.wait()
                try:
                    last = await self._pass_on(last, seen)
                except Exception as error:  # Redis is away, and will be back: it is looked for again
                    log.warning("forgotten pictures could not be looked for: %s", trace(error))
                    await asyncio.sleep(PAUSE_SECONDS)
                    bell.ring(None)

    async def _pass_on(self, last: str, seen: Seen) -> str:
        """Pass on what was told after an entry; the last one that is there."""
        while page := entries(await self._redis.xrange(keys.FORGOTTEN, min=f"({last}", count=_PAGE)):
            for _, fields in page:
                await seen.forget(fields["sha256"])
            last = page[-1][0]
        return last
