"""What comes next of a session, from a cursor on: what rings bring where it goes on from there, the log where not.

It holds no queue of events: a slow reader's events stay in the store until it is read to. Knows nothing of how they
are sent.
"""

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncGenerator

from assistant.domain.errors import Unavailable
from assistant.ports.conversations import Bell, ConversationStore, LogEntry

log = logging.getLogger(__name__)
FIRST_READ, MOST_READ = 2, 64
"""Events that are read at once: few at first, for each may be long; then as many as may make up ``READ_CHARACTERS``."""
AGAIN_SECONDS = (3.0, 6.0)
"""After so long the log is looked at again that could not be read; not by all readers at the same moment."""
READ_CHARACTERS = 64 * 1024
"""What is held for a client that reads slowly."""


async def following(
    conversations: ConversationStore,
    session_id: str,
    after: int,
    reading: asyncio.Lock,
    quiet_seconds: float | None = None,
) -> AsyncGenerator[list[LogEntry]]:
    """The events that follow ``after``, in order, some at a time, for as long as there is the session.

    Whoever stops before the end closes it (``contextlib.aclosing``).

    Args:
        reading: held while events are out that were read from the log; what shares it holds those of one session.
        quiet_seconds: after so long without an event nothing comes, as an empty list.

    Raises:
        NotFound: the session is gone.
    """
    async with conversations.watch(session_id) as bell:
        away = False
        while True:
            fresh = await _rung(bell, random.uniform(*AGAIN_SECONDS) if away else quiet_seconds)  # noqa: S311
            if fresh is None:
                yield []
                if not away:
                    continue
            elif _continues(after, fresh):
                if fresh[-1].seq > after:
                    yield fresh[after + 1 - fresh[0].seq :]
                    after = fresh[-1].seq
                continue
            try:
                limit = FIRST_READ
                while True:
                    async with reading:
                        entries = await conversations.read(session_id, after, limit)
                        if entries:
                            yield entries
                            after = entries[-1].seq
                    if len(entries) < limit:
                        break
                    limit = _wider(limit, entries)
                away = False
            except Unavailable:
                # The bell rings when the store is back, but not where only a node of a cluster was away.
                log.warning("the store does not answer: who follows a session waits")
                away = True


async def _rung(bell: Bell, most_seconds: float | None) -> list[LogEntry] | None:
    """What came with the next ring; None where it did not ring for so long."""
    if most_seconds is None:
        return await bell.wait()
    try:
        async with asyncio.timeout(most_seconds):
            return await bell.wait()
    except TimeoutError:
        return None


def _wider(limit: int, entries: list[LogEntry]) -> int:
    """How many events to read at once after so many that were these: what should make up ``READ_CHARACTERS``."""
    size = sum(len(entry.json) for entry in entries)
    return max(min(READ_CHARACTERS * len(entries) // size, 2 * limit, MOST_READ), 1)


def _continues(after: int, entries: list[LogEntry]) -> bool:
    """Whether these entries leave no gap behind ``after`` or between them."""
    if not entries or entries[0].seq > after + 1:
        return False
    return all(later.seq == earlier.seq + 1 for earlier, later in itertools.pairwise(entries))
