"""What owners take, counted in Redis: token buckets, turns that run, and sockets that gateways hold.

In memory only: a message costs no write to disk for it, and when Redis dies every bucket is full again.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import cast

from redis.asyncio import Redis

from assistant.domain.limits import (
    Allowance,
    Allowances,
    Resource,
    Standing,
    exhausted,
    never,
    too_many_running,
    too_many_sockets,
)
from assistant.ports.conversations import Bell
from assistant.ports.limits import LimitStore, Turn
from assistant.stores import keys
from assistant.stores.bells import Bells
from assistant.stores.connection import Script, reporting

RUNNING_SECONDS = 3600.0
"""So long does a turn count as running when nobody settles it."""
SOCKETS_SECONDS = 60.0
"""So long do the sockets of a gateway count that is silent."""


@reporting
class RedisLimits(LimitStore):
    """``LimitStore`` on Redis.

    Args:
        running_seconds: see ``RUNNING_SECONDS``.
        sockets_seconds: see ``SOCKETS_SECONDS``.
    """

    def __init__(
        self,
        client: Redis,
        bells: Bells,
        *,
        running_seconds: float = RUNNING_SECONDS,
        sockets_seconds: float = SOCKETS_SECONDS,
    ) -> None:
        self._redis = client
        self._bells = bells
        self._running = int(running_seconds * 1000)
        self._sockets = int(sockets_seconds * 1000)
        self._take, self._settle, self._standing = (
            Script.named(name, "buckets") for name in ("take", "settle", "standing")
        )
        self._hold = Script.named("hold")

    async def take(
        self,
        owner: str,
        amounts: Mapping[Resource, int],
        allowances: Allowances,
        turn: Turn | None = None,
    ) -> None:
        limited = {name: amount for name, amount in amounts.items() if name in allowances.buckets}
        if not limited and not (turn and allowances.turns_at_once):
            return
        longest = max((allowances.buckets[name].seconds for name in limited), default=0.0)
        arguments: list[str | int] = [
            keys.limits_bell(owner),
            int(2 * max(longest, self._running / 1000)) + 1,
            turn.turn_id if turn else "",
            turn.tokens if turn and "tokens" in limited else 0,
            allowances.turns_at_once,
            self._running,
        ]
        for name, amount in limited.items():
            bucket = allowances.buckets[name]
            arguments += [name, amount, bucket.most, repr(bucket.seconds)]
        answer = await self._take.run(self._redis, [keys.limits(owner)], arguments)
        match answer:
            case ["never", named]:
                resource = cast("Resource", named)
                raise never(resource, limited[resource], allowances.buckets[resource].most)
            case ["exhausted", named, milliseconds]:
                raise exhausted(cast("Resource", named), int(milliseconds) / 1000)
            case ["running"]:
                raise too_many_running(allowances.turns_at_once)

    async def settle(self, owner: str, turn_id: str, tokens: int | None, *, refund: bool = False) -> None:
        generated = "" if tokens is None else tokens
        arguments: list[str | int] = [keys.limits_bell(owner), turn_id, generated, int(refund)]
        await self._settle.run(self._redis, [keys.limits(owner)], arguments)

    async def standing(self, owner: str, buckets: Mapping[Resource, Allowance]) -> Standing:
        if not buckets:
            return Standing({}, {})
        now, *kept = await self._standing.run(self._redis, [keys.limits(owner)], list(buckets))
        levels = {
            name: _level(text, int(now), bucket) for (name, bucket), text in zip(buckets.items(), kept, strict=True)
        }
        return Standing(
            remaining={name: max(int(level), 0) for name, level in levels.items()},
            reset={
                name: round((buckets[name].most - level) * buckets[name].seconds / buckets[name].most, 3)
                for name, level in levels.items()
            },
        )

    async def hold_sockets(self, owner: str, gateway: str, count: int, most: int) -> None:
        arguments: list[str | int] = [gateway, count, most, self._sockets]
        if await self._hold.run(self._redis, [keys.sockets(owner)], arguments) == ["full"]:
            raise too_many_sockets(most)

    def watch(self, owner: str) -> AbstractAsyncContextManager[Bell]:
        return self._bells.watch(keys.limits_bell(owner))


def _level(text: str, now: int, bucket: Allowance) -> float:
    """As ``level_of`` in ``buckets.lua``, by what is allowed now."""
    if not text:
        return float(bucket.most)
    level, at, most, seconds = map(float, text.split())
    return min(bucket.most, most, level + max(now - at, 0) * most / (seconds * 1e6))
