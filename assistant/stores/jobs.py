"""The stream of jobs: each says that a turn is to run. A consumer group hands each to one worker.

It lives in a slot of its own on Redis Cluster, apart from conversations, so no script writes both. What keeps them
together is an order: a turn is queued after its conversation says that nobody has claimed it, a job goes after its
turn has ended *and* the next is queued, and a job too many does no harm. Whoever dies in between leaves a job that is
taken again, or a message that was not acknowledged; what is lost all the same, ``sweeper`` finds.
"""

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from assistant.stores import keys
from assistant.stores.connection import BLOCK_SECONDS, entries

Job = tuple[str, str, str]
"""Its id, the session and the turn."""
_PAGE = 250
"""Jobs that are read at once: the worker's tokens wait for a millisecond then."""


class Jobs:
    """The stream on one Redis.

    Args:
        idle_seconds: a job whose worker is silent for so long is offered again; whether its turn is still held, the
            turn's own record says.
    """

    def __init__(self, client: Redis, *, idle_seconds: float = 5.0) -> None:
        self._redis = client
        self._idle = int(idle_seconds * 1000)
        self._from = "0-0"
        """Where to go on looking for abandoned jobs: one look sees only a few of those that run."""

    async def put(self, session_id: str, turn_id: str) -> None:
        """Queue a turn."""
        await self._redis.xadd(keys.JOBS, {"s": session_id, "t": turn_id})

    async def take(self, worker: str, wait: float) -> Job | None:
        """An abandoned job or the next new one, or None after ``wait`` seconds at most."""
        try:
            return await self._abandoned(worker) or await self._next(worker, wait)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self._make_group()
            return None

    async def settle(self, job_id: str, session_id: str, following: str) -> None:
        """Take a job off the queue; the turn that follows in its session, unless empty, is queued in the same step."""
        async with self._redis.pipeline(transaction=True) as pipe:
            if following:
                pipe.xadd(keys.JOBS, {"s": session_id, "t": following})
            pipe.xack(keys.JOBS, keys.GROUP, job_id)
            pipe.xdel(keys.JOBS, job_id)
            await pipe.execute()

    async def give_back(self, job_id: str, session_id: str, turn_id: str) -> None:
        """Offer a job again, before those that wait: as one abandoned just now, for which workers look first.

        Another, behind all, wakes a worker that waits for new ones; it is one too many for whoever comes to it later.
        """
        try:
            await self._redis.xclaim(keys.JOBS, keys.GROUP, keys.GIVEN_BACK, 0, [job_id], idle=self._idle, justid=True)
        except ResponseError as error:
            if "NOGROUP" not in str(error):  # the stream was lost, and this job with it
                raise
        await self.put(session_id, turn_id)

    async def turns(self, after: str = "-") -> tuple[set[str], str]:
        """Turns that have a job, waiting or running, and from where the next look goes on.

        Args:
            after: what a look before said; otherwise they are all.
        """
        found: set[str] = set()
        while page := entries(await self._redis.xrange(keys.JOBS, min=after, count=_PAGE)):
            found.update(fields["t"] for _, fields in page)
            after = f"({page[-1][0]}"
        return found, after

    async def _next(self, worker: str, wait: float) -> Job | None:
        block = int(min(wait, BLOCK_SECONDS) * 1000)
        answer = await self._redis.xreadgroup(keys.GROUP, worker, {keys.JOBS: ">"}, count=1, block=max(block, 1))
        return next((_job(entry) for _, jobs in entries(answer) for entry in entries(jobs)), None)

    async def _abandoned(self, worker: str) -> Job | None:
        self._from, jobs, *_ = await self._redis.xautoclaim(
            keys.JOBS, keys.GROUP, worker, self._idle, start_id=self._from, count=1
        )
        return next((_job(entry) for entry in entries(jobs) if entry[1]), None)

    async def _make_group(self) -> None:
        try:
            await self._redis.xgroup_create(keys.JOBS, keys.GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise


def _job(entry: tuple[str, dict[str, str]]) -> Job:
    job_id, fields = entry
    return job_id, fields["s"], fields["t"]
