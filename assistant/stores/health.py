"""Whether the store answers now."""

import asyncio

from redis.asyncio import Redis

from assistant.ports.surroundings import Health
from assistant.stores.connection import STORE_ERRORS


class RedisHealth(Health):
    """Asks Redis each time."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    async def problem(self) -> str | None:
        try:
            async with asyncio.timeout(2.0):
                await self._redis.ping()
        except STORE_ERRORS:
            return "Redis does not answer"
        return None
