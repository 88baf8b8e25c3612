"""The queue of turns in Redis: jobs, leases and fences.

A worker that is told to stop gives its turns back. One that dies leaves its job behind (see ``jobs``); once the lease
is over another takes the turn, goes on from the text already sent, and the late writer is refused by its fence.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from assistant.clock import rfc3339
from assistant.domain.events import (
    ErrorInfo,
    Event,
    MessageCreated,
    ToolCalled,
    ToolFinished,
    TurnDelta,
    TurnFinished,
    TurnStarted,
    TurnStatus,
    read_event,
)
from assistant.domain.turns import TurnOptions
from assistant.ports.conversations import Bell, LogEntry
from assistant.ports.engine import EngineInfo
from assistant.ports.queue import Claim, LostClaim, TurnQueue
from assistant.ports.surroundings import Clock
from assistant.stores import keys
from assistant.stores.bells import Bells
from assistant.stores.connection import STORE_ERRORS, Script, entries, raise_if_cancelled, reporting
from assistant.stores.jobs import Jobs

_LASTING = (MessageCreated, TurnStarted, ToolCalled, ToolFinished, TurnFinished)
_LOST = ErrorInfo(code="turn_lost", message="The store has lost what was asked. Send the message again.")


@reporting
class RedisQueue(TurnQueue):
    """``TurnQueue`` on Redis.

    Args:
        client: of the store.
        lease_seconds: a worker that is silent for so long has lost its turn.
    """

    def __init__(
        self,
        client: Redis,
        bells: Bells,
        clock: Clock,
        *,
        lease_seconds: float = 15.0,
        ttl_seconds: int = 30 * 86400,
    ) -> None:
        self._redis = client
        self._bells = bells
        self._jobs = Jobs(client, idle_seconds=lease_seconds / 3)
        self._clock = clock
        self._lease = int(lease_seconds * 1000)
        self._ttl = ttl_seconds
        self._claim, self._append, self._finish = map(Script.named, ("claim", "append", "finish"))
        self._release = Script.named("release")

    async def claim(self, worker: str, engine: EngineInfo, wait: float) -> Claim | None:
        job = await self._jobs.take(worker, wait)
        if job is None:
            return None
        job_id, session_id, turn_id = job
        started = TurnStarted(turn_id=turn_id, attempt=1, restart=False, engine=engine.name, model=engine.model)
        answer = await self._claim.run(
            self._redis,
            [
                keys.meta(session_id),
                keys.events(session_id),
                keys.live(session_id),
                keys.turn(session_id, turn_id),
                keys.pending(session_id),
            ],
            [
                session_id,
                turn_id,
                rfc3339(self._clock.now()),
                started.to_json().replace(',"attempt":1,"restart":false', "", 1),
                TurnFinished(turn_id=turn_id, status="failed", error=_LOST).to_json(),
                self._lease,
                keys.bell(session_id),
            ],
        )
        match answer:
            case ["claimed", fence, failures, owner, options, message_id]:
                return Claim(
                    session_id=session_id,
                    turn_id=turn_id,
                    message_id=message_id,
                    owner=owner,
                    job_id=job_id,
                    fence=int(fence),
                    attempt=int(fence),
                    failures=int(failures),
                    options=TurnOptions.model_validate_json(options),
                    committed=await self._committed(session_id, turn_id) if int(fence) > 1 else "",
                )
            case ["over", following]:
                await self._jobs.settle(job_id, session_id, following)
        return None

    async def append(self, claim: Claim, events: Sequence[Event]) -> None:
        names = [keys.meta(claim.session_id), keys.events(claim.session_id), keys.live(claim.session_id)]
        arguments: list[str | int] = [
            claim.session_id,
            claim.fence,
            rfc3339(self._clock.now()),
            self._lease,
            keys.bell(claim.session_id),
        ]
        for event in events:
            arguments += ["events" if isinstance(event, _LASTING) else "live", event.to_json()]
        _unless_lost(await self._append.run(self._redis, [*names, self._turn(claim)], arguments))

    async def renew(self, claim: Claim) -> None:
        await self.append(claim, ())

    async def finish(self, claim: Claim, events: Sequence[Event], status: TurnStatus) -> None:
        names = [
            keys.meta(claim.session_id),
            keys.events(claim.session_id),
            self._turn(claim),
            keys.pending(claim.session_id),
        ]
        arguments: list[str | int] = [
            claim.session_id,
            claim.fence,
            rfc3339(self._clock.now()),
            status,
            self._ttl,
            keys.bell(claim.session_id),
            *(event.to_json() for event in events),
        ]
        _, following = _unless_lost(await self._finish.run(self._redis, names, arguments))
        await self._jobs.settle(claim.job_id, claim.session_id, following)

    async def release(self, claim: Claim, *, cut_off: bool = False) -> None:
        names = [keys.live(claim.session_id), self._turn(claim)]
        _unless_lost(await self._release.run(self._redis, names, [claim.fence, int(cut_off)]))
        await self._jobs.give_back(claim.job_id, claim.session_id, claim.turn_id)

    @asynccontextmanager
    async def watch_cancel(self, claim: Claim) -> AsyncIterator[Bell]:
        channel = keys.cancel(claim.session_id, claim.turn_id)
        async with self._bells.watch(channel) as rung:
            yield _CancelBell(self._redis, self._turn(claim), rung)

    def _turn(self, claim: Claim) -> str:
        return keys.turn(claim.session_id, claim.turn_id)

    async def _committed(self, session_id: str, turn_id: str) -> str:
        """Text of this turn's deltas so far."""
        log = entries(await self._redis.xrange(keys.live(session_id)))
        events = (read_event(fields["e"]).event for _, fields in log if turn_id in fields["e"])
        return "".join(event.text for event in events if isinstance(event, TurnDelta) and event.turn_id == turn_id)


class _CancelBell(Bell):
    """Returns from ``wait`` only when the turn carries the mark or is gone: the channel also rings on reconnects."""

    def __init__(self, client: Redis, turn: str, rung: Bell) -> None:
        self._redis = client
        self._turn = turn
        self._rung = rung

    async def wait(self) -> list[LogEntry]:
        while True:
            await self._rung.wait()
            try:
                status, cancel = await self._redis.hmget(self._turn, ["status", "cancel"])
                marked = status is None or cancel is not None  # a turn that is gone was deleted
            except STORE_ERRORS:
                marked = False  # the bell rings again when the store is back
            raise_if_cancelled()
            if marked:
                return []


def _unless_lost(answer: list[str]) -> list[str]:
    if answer == ["lost"]:
        raise LostClaim
    return answer
