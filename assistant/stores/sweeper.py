"""The sweeper: queues turns again whose job is gone, whatever became of it, and forgets workers that are.

It walks over all conversations, because only they know what was promised: the stream of jobs may have been lost with
the server that held it, or a gateway may have died between a conversation and the stream. One worker walks at a time;
it rests after each page for many times as long as the page took, so that it never has more than a small share of Redis.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis, RedisCluster

from assistant.domain.errors import trace
from assistant.stores import keys
from assistant.stores.jobs import Jobs
from assistant.stores.workers import Workers

log = logging.getLogger(__name__)
REST_SECONDS = 5.0
"""Between two walks."""
PAGE_KEYS = 500
PAGE_RESTS = 20
"""A page that took a second is followed by a rest of so many."""
LONGEST_REST = 5.0
TURN_SECONDS = 10.0
"""A sweeper that is silent for so long is followed by another worker's."""


class Sweeper:
    """Looks for lost jobs on one Redis, or on every primary of a Redis Cluster."""

    def __init__(self, client: Redis) -> None:
        self._redis: Redis | RedisCluster = client
        self._jobs = Jobs(client)
        self._workers = Workers(client)

    async def run(self) -> None:
        """Walk for ever, in turn with the sweepers of other workers."""
        while True:
            try:
                if await self._redis.set(keys.SWEEPER, "", nx=True, px=int(TURN_SECONDS * 1000)):
                    await self.sweep()
                    await self._workers.forget_gone()
                    await self._redis.pexpire(keys.SWEEPER, int(REST_SECONDS * 1000))
            except Exception as error:  # Redis is away, and will be back: a sweeper outlives it
                log.warning("conversations were not swept: %s", trace(error))
            await asyncio.sleep(REST_SECONDS)

    async def sweep(self) -> int:
        """Walk once; how many turns were queued again.

        A turn that ends, or is submitted, meanwhile may be queued once too often, which does no harm. What is lost
        meanwhile, the next walk finds.
        """
        known, last = await self._jobs.turns()
        again = 0
        start = time.monotonic()
        async for active in self._pages():
            if active.keys() - known:
                new, last = await self._jobs.turns(last)
                known |= new
            for turn_id in active.keys() - known:
                await self._jobs.put(active[turn_id], turn_id)
                again += 1
            await self._redis.pexpire(keys.SWEEPER, int(TURN_SECONDS * 1000))
            await asyncio.sleep(min(PAGE_RESTS * (time.monotonic() - start), LONGEST_REST))
            start = time.monotonic()
        if again:
            log.warning("%d turns had no job and were queued again", again)
        return again

    async def _pages(self) -> AsyncIterator[dict[str, str]]:
        """Unfinished turns and their sessions, of a page of conversations at a time."""
        nodes = self._redis.get_primaries() if isinstance(self._redis, RedisCluster) else [None]
        for node in nodes:
            cursor = -1
            while cursor:
                cursor, names = await self._scan(max(cursor, 0), node)
                yield await self._active(names)

    async def _scan(self, cursor: int, node: Any) -> tuple[int, list[str]]:
        """A page of names, and where the next begins: 0 after the last."""
        where = {} if node is None else {"target_nodes": node}
        answer: Any = await self._redis.scan(cursor, keys.meta("*"), PAGE_KEYS, **where)
        following, names = answer
        return following if node is None else following[node.name], names

    async def _active(self, names: list[str]) -> dict[str, str]:
        if not names:
            return {}
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(name, "active")
            turns = await pipe.execute()
        return {turn: keys.session_of(name) for name, turn in zip(names, turns, strict=True) if turn}
