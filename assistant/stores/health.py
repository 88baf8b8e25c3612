"""Whether the store answers now, and how many workers it knows."""

import asyncio

from redis.asyncio import Redis

from assistant.ports.surroundings import Health
from assistant.stores.connection import STORE_ERRORS
from assistant.stores.workers import Workers

ANSWER_SECONDS = 2.0


class RedisHealth(Health):
    """Asks Redis each time."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self._workers = Workers(client)

    async def problem(self) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._redis.ping()
        except STORE_ERRORS:
            return "Redis does not answer"
        return None

    async def workers(self) -> int | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._workers.count()
        except STORE_ERRORS:
            return None
