"""The worker: claims turns while its engine has a free slot, runs each in a task of its own, gives back the rest."""

import asyncio
import logging

from assistant.domain.errors import Unavailable, trace
from assistant.ports.engine import EngineInfo
from assistant.ports.queue import Claim, LostClaim, TurnQueue
from assistant.service.turns import TurnRunner

log = logging.getLogger(__name__)
CLAIM_SECONDS = 1.0
"""One that is told to stop waits for so long at most before it gives its turns back."""
PAUSE_SECONDS = 0.5
GIVE_BACK_TRIES = 30


class Worker:
    """Runs turns until its task is cancelled. Then those that run are given back, for another worker to go on with.

    Args:
        name: unique among the workers of one Redis.
    """

    def __init__(self, name: str, engine: EngineInfo, queue: TurnQueue, runner: TurnRunner) -> None:
        self._name = name
        self._engine = engine
        self._queue = queue
        self._runner = runner
        self._slots = asyncio.Semaphore(engine.slots)
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Claim and run turns for ever."""
        try:
            while True:
                await self._slots.acquire()
                claim = await self._claim()
                if claim is None:
                    self._slots.release()
                    continue
                task = asyncio.create_task(self._run(claim), name=f"turn {claim.turn_id}")
                self._running.add(task)
                task.add_done_callback(self._done)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _claim(self) -> Claim | None:
        """A turn to run, if one comes soon. One that comes while the worker is told to stop is given back."""
        claiming = asyncio.create_task(self._try_claim(), name="claim")
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            if (claim := await claiming) is not None:
                await self._give_back(claim)
            raise

    async def _try_claim(self) -> Claim | None:
        try:
            return await self._queue.claim(self._name, self._engine, CLAIM_SECONDS)
        except Exception as error:  # Redis is away, and will be back: a worker outlives it
            log.warning("no turn can be claimed: %s", type(error).__name__)
            await asyncio.sleep(PAUSE_SECONDS)
            return None

    async def _run(self, claim: Claim) -> None:
        try:
            await self._runner.run(claim)
        except asyncio.CancelledError:
            await self._give_back(claim)
            raise
        except LostClaim:
            log.warning("turn %s was taken over, or the store was", claim.turn_id)
            await self._give_back_cut_off(claim)
        except Unavailable as error:
            log.warning("turn %s was cut off by the store: %s", claim.turn_id, trace(error))
            await self._give_back_cut_off(claim)
        except Exception as error:
            # Nothing is lost: the lease ends, and this worker or another goes on from what was sent.
            log.error("turn %s was cut off by %s", claim.turn_id, trace(error))

    async def _give_back(self, claim: Claim, *, cut_off: bool = False) -> bool:
        """Give a turn back, unless it has ended or another worker has it. Whether the store answered."""
        try:
            await self._queue.release(claim, cut_off=cut_off)
        except LostClaim:
            pass
        except Exception as error:  # nothing is lost: the lease ends
            log.warning("turn %s could not be given back: %s", claim.turn_id, type(error).__name__)
            return False
        return True

    async def _give_back_cut_off(self, claim: Claim) -> None:
        """Give a turn back when the store is there again, if it is before the lease ends."""
        for _ in range(GIVE_BACK_TRIES):
            if await self._give_back(claim, cut_off=True):
                return
            await asyncio.sleep(PAUSE_SECONDS)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()
