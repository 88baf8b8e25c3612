"""Which workers there are: each says every few seconds that it is here.

A worker is a consumer of the group that jobs are handed to, and Redis knows for how long each was idle. What a worker
does says too little of that: with all its slots taken it asks for no job for as long as its answers take, and before
7.2 Redis counts only those that were there. So each asks for jobs of its own from the far future, which costs nothing,
changes nothing and counts for every version.
"""

import asyncio
import contextlib
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from assistant.stores import keys
from assistant.stores.connection import STORE_ERRORS, Script, raise_if_cancelled

HERE_SECONDS = 5.0
"""How often a worker says that it is here, and how long Redis may take for it."""
AGAIN_SECONDS = 0.5
"""When it could not: Redis is away, or nobody has looked for a job yet."""
LEAVE_SECONDS = 1.0
"""What a worker that is told to stop has to say so."""
ALIVE_SECONDS = 15.0
"""Whoever has said nothing for longer is not counted."""
GONE_SECONDS = 3600.0
"""Nor are its traces kept, after this."""
_FAR_FUTURE = "9999999999999"


class Workers:
    """The workers on one Redis."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._forget = Script.named("forget_workers")

    async def attend(self, name: str) -> None:
        """Say for ever that this worker is here, and when it is told to stop, that it no longer is."""
        try:
            await self._stay(name)
        finally:
            with contextlib.suppress(*STORE_ERRORS):
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._forget.run(self._redis, [keys.JOBS], [keys.GROUP, 0, name])

    async def _stay(self, name: str) -> None:
        while True:
            said = False
            with contextlib.suppress(*STORE_ERRORS):
                async with asyncio.timeout(HERE_SECONDS):
                    await self._redis.xreadgroup(keys.GROUP, name, {keys.JOBS: _FAR_FUTURE}, count=1)
                said = True
            raise_if_cancelled()
            await asyncio.sleep(HERE_SECONDS if said else AGAIN_SECONDS)

    async def count(self) -> int:
        """How many are here. Raises ``STORE_ERRORS``."""
        try:
            known: Any = await self._redis.xinfo_consumers(keys.JOBS, keys.GROUP)
        except ResponseError as error:
            if "no such key" not in str(error) and "NOGROUP" not in str(error):
                raise
            return 0  # none was ever
        here = {worker["name"] for worker in known if worker["idle"] < ALIVE_SECONDS * 1000}
        return len(here - {keys.GIVEN_BACK})

    async def forget_gone(self) -> None:
        """Forget those that went without a word: started again, each has another name. Raises as ``count``."""
        await self._forget.run(self._redis, [keys.JOBS], [keys.GROUP, int(GONE_SECONDS * 1000), ""])
