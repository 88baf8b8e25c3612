"""Two workers on one turn: the one that has it is stopped past its lease, and goes on when another has taken over."""

import contextlib
import time

from assistant.client.session import Session
from assistant.domain.events import TurnDelta, TurnStarted
from assistant.stores import keys
from assistant.stores.connection import open_client
from tests.faults.campaign import Recording, read_logs
from tests.faults.history import Fault, History, Recovered
from tests.faults.system import System

DELTAS = 3
"""So many words are seen before the worker is stopped."""


async def run(system: System, turns: int) -> History:
    """Take so many turns from the worker that answers; what happened."""
    history = History()
    async with Recording("client", system.url, history) as client:
        session = await client.open()
        for turn in range(turns):
            await _take_over(system, session, history, f"k{turn}")
        await session.answer("last", client_message_id="last")  # whatever a late writer does, it has done by now
        await read_logs(system, history, [session.session_id])
    return history


async def _take_over(system: System, session: Session, history: History, key: str) -> None:
    stopped, deltas = 0, 0
    async with contextlib.aclosing(session.ask(key, client_message_id=key)) as events:
        async for event in events:
            deltas += isinstance(event, TurnDelta)
            if deltas == DELTAS and not stopped:
                stopped = await _holder(system)
                system.pause(stopped)
                history.records.append(Fault("pause", time.time()))
            if isinstance(event, TurnStarted) and event.attempt > 1 and stopped:
                system.resume(stopped)
                history.records.append(Recovered(time.time()))


async def _holder(system: System) -> int:
    """Process of the worker that has the one turn there is. Its name among the consumers ends with it."""
    client = await open_client(system.redis.url)
    try:
        [pending] = await client.xpending_range(keys.JOBS, keys.GROUP, "-", "+", 1)
        return int(str(pending["consumer"]).rpartition("-")[2])
    finally:
        await client.aclose()
