"""The queue of turns in Redis: a stream with a consumer group, leases and fences.

A worker that stops in the middle leaves its turn in the group's pending list; once the lease is over another takes it,
goes on from the text already sent, and the late writer is refused by its fence.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from assistant.clock import rfc3339
from assistant.domain.events import (
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
from assistant.stores.connection import BLOCK_SECONDS, Script, entries, raise_if_cancelled, reporting

_LASTING = (MessageCreated, TurnStarted, ToolCalled, ToolFinished, TurnFinished)


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
        self._clock = clock
        self._lease = int(lease_seconds * 1000)
        self._ttl = ttl_seconds
        self._claim, self._append, self._finish = map(Script.named, ("claim", "append", "finish"))

    async def claim(self, worker: str, engine: EngineInfo, wait: float) -> Claim | None:
        job = await self._abandoned(worker) or await self._next(worker, wait)
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
            ],
            [
                session_id,
                rfc3339(self._clock.now()),
                started.to_json().replace(',"attempt":1,"restart":false', "", 1),
                self._lease,
                keys.bell(session_id),
            ],
        )
        match answer:
            case ["claimed", fence, attempt, owner, options]:
                return Claim(
                    session_id=session_id,
                    turn_id=turn_id,
                    owner=owner,
                    job_id=job_id,
                    fence=int(fence),
                    attempt=int(attempt),
                    options=TurnOptions.model_validate_json(options),
                    committed=await self._committed(session_id, turn_id) if int(attempt) > 1 else "",
                )
            case ["gone"]:
                await self._redis.xack(keys.JOBS, keys.GROUP, job_id)
                await self._redis.xdel(keys.JOBS, job_id)
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
            keys.JOBS,
        ]
        arguments: list[str | int] = [
            claim.session_id,
            claim.fence,
            rfc3339(self._clock.now()),
            status,
            claim.job_id,
            keys.GROUP,
            self._ttl,
            keys.bell(claim.session_id),
            *(event.to_json() for event in events),
        ]
        _unless_lost(await self._finish.run(self._redis, names, arguments))

    @asynccontextmanager
    async def watch_cancel(self, claim: Claim) -> AsyncIterator[Bell]:
        channel = keys.cancel(claim.session_id, claim.turn_id)
        async with self._bells.watch(channel) as rung:
            yield _CancelBell(self._redis, self._turn(claim), rung)

    def _turn(self, claim: Claim) -> str:
        return keys.turn(claim.session_id, claim.turn_id)

    async def _next(self, worker: str, wait: float) -> tuple[str, str, str] | None:
        """The next new job: its id, session and turn."""
        block = int(min(wait, BLOCK_SECONDS) * 1000)
        try:
            answer = await self._redis.xreadgroup(keys.GROUP, worker, {keys.JOBS: ">"}, count=1, block=max(block, 1))
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self._make_group()
            return None
        return next((_job(entry) for _, jobs in entries(answer) for entry in entries(jobs)), None)

    async def _abandoned(self, worker: str) -> tuple[str, str, str] | None:
        """A job whose worker has been silent for longer than a lease."""
        try:
            answer = await self._redis.xautoclaim(keys.JOBS, keys.GROUP, worker, self._lease, count=1)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self._make_group()
            return None
        return next((_job(entry) for entry in entries(answer[1]) if entry[1]), None)

    async def _make_group(self) -> None:
        try:
            await self._redis.xgroup_create(keys.JOBS, keys.GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _committed(self, session_id: str, turn_id: str) -> str:
        """Text of this turn's deltas so far."""
        log = entries(await self._redis.xrange(keys.live(session_id)))
        events = (read_event(fields["e"]).event for _, fields in log if turn_id in fields["e"])
        return "".join(event.text for event in events if isinstance(event, TurnDelta) and event.turn_id == turn_id)


class _CancelBell(Bell):
    """Returns from ``wait`` only when the turn carries the mark: the channel also rings on reconnects."""

    def __init__(self, client: Redis, turn: str, rung: Bell) -> None:
        self._redis = client
        self._turn = turn
        self._rung = rung

    async def wait(self) -> list[LogEntry]:
        while True:
            await self._rung.wait()
            try:
                marked = await self._redis.hexists(self._turn, "cancel")
            except (RedisError, OSError):
                marked = False  # the bell rings again when the store is back
            raise_if_cancelled()
            if marked:
                return []


def _job(entry: tuple[str, dict[str, str]]) -> tuple[str, str, str]:
    """Id, session and turn of an entry of the queue."""
    job_id, fields = entry
    return job_id, fields["s"], fields["t"]


def _unless_lost(answer: list[str]) -> None:
    if answer == ["lost"]:
        raise LostClaim
