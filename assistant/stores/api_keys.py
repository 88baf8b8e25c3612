"""API keys in Redis: one hash for all of them, and a bell for those that are revoked."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager

from redis.asyncio import Redis

from assistant.domain.access import ApiKey
from assistant.ports.conversations import Bell
from assistant.ports.keys import KeyStore
from assistant.stores import keys
from assistant.stores.bells import Bells
from assistant.stores.connection import reporting


@reporting
class RedisKeys(KeyStore):
    """``KeyStore`` on Redis. Keys have no end of their own here: an expired one is listed until it is revoked."""

    def __init__(self, client: Redis, bells: Bells) -> None:
        self._redis = client
        self._bells = bells

    async def add(self, key: ApiKey) -> None:
        await self._redis.hset(keys.API_KEYS, key.key_id, key.to_json())

    async def find(self, key_id: str) -> ApiKey | None:
        json = await self._redis.hget(keys.API_KEYS, key_id)
        return None if json is None else ApiKey.model_validate_json(json)

    async def all(self) -> list[ApiKey]:
        found = [ApiKey.model_validate_json(json) for json in await self._redis.hvals(keys.API_KEYS)]
        return sorted(found, key=lambda key: (key.created_at, key.key_id))

    async def revoke(self, key_id: str) -> bool:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel(keys.API_KEYS, key_id)
            pipe.publish(keys.REVOKED, "")
            gone, _ = await pipe.execute()
        return bool(gone)

    async def kept(self, key_ids: Collection[str]) -> set[str]:
        if not key_ids:
            return set()
        asked = list(key_ids)
        found = await self._redis.hmget(keys.API_KEYS, asked)
        return {key_id for key_id, json in zip(asked, found, strict=True) if json is not None}

    def watch(self) -> AbstractAsyncContextManager[Bell]:
        return self._bells.watch(keys.REVOKED)
