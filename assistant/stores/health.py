"""Whether the store answers now."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from assistant.ports.surroundings import Health


class RedisHealth(Health):
    """Asks Redis each time."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    async def problem(self) -> str | None:
        try:
            async with asyncio.timeout(2.0):
                await self._redis.ping()
        except (RedisError, OSError):
            return "Redis does not answer"
        return None
