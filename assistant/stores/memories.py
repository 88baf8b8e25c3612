"""What owners have taught, in Redis: a hash of memories an owner, and a hash of what encoders made of them.

Pictures are not kept here; a memory names its picture, and needs it until it was looked at once.
"""

import base64
from collections.abc import Sequence

from redis.asyncio import Redis

from assistant.domain.errors import LimitReached
from assistant.domain.memories import Memory
from assistant.ports.memories import MemoryStore, Style
from assistant.stores import keys
from assistant.stores.connection import Script, reporting

MOST_MEMORIES = 500


@reporting
class RedisMemories(MemoryStore):
    """``MemoryStore`` on Redis.

    Args:
        ttl_seconds: what an owner has taught is forgotten when no answer has used it for so long. Longer than
            conversations are kept: it was meant to last, and is small.
    """

    def __init__(self, client: Redis, *, ttl_seconds: int = 365 * 86400) -> None:
        self._redis = client
        self._ttl = ttl_seconds
        self._remember, self._learn = map(Script.named, ("remember", "learn"))

    async def add(self, owner: str, memory: Memory) -> int:
        arguments: list[str | int] = [memory.memory_id, memory.to_json(), MOST_MEMORIES, self._ttl]
        [answer] = await self._remember.run(self._redis, _keys(owner), arguments)
        if answer == "full":
            raise LimitReached(
                "too_many_memories",
                f"{MOST_MEMORIES} pictures are remembered already, and no more are kept. Forget some first.",
            )
        return int(answer)

    async def memories(self, owner: str) -> list[Memory]:
        kept = await self._redis.hvals(keys.memory(owner))
        found = [Memory.model_validate_json(json) for json in kept]
        return sorted(found, key=lambda memory: (memory.added_at, memory.memory_id))

    async def remove(self, owner: str, memory_ids: Sequence[str]) -> int:
        if not memory_ids:
            return 0
        async with self._redis.pipeline(transaction=True) as pipe:
            for name in _keys(owner):
                pipe.hdel(name, *memory_ids)
            gone, _ = await pipe.execute()
        return int(gone)

    async def styles(self, owner: str) -> dict[str, Style]:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(keys.styles(owner))
            for name in _keys(owner):
                pipe.expire(name, self._ttl)
            kept, *_ = await pipe.execute()
        return {memory_id: _style(text) for memory_id, text in kept.items()}

    async def learn(self, owner: str, memory_id: str, style: Style) -> None:
        text = f"{style.encoder} {base64.b64encode(style.data).decode()}"
        await self._learn.run(self._redis, _keys(owner), [memory_id, text, self._ttl])


def _keys(owner: str) -> list[str]:
    return [keys.memory(owner), keys.styles(owner)]


def _style(text: str) -> Style:
    encoder, _, data = text.partition(" ")
    return Style(encoder, base64.b64decode(data))
