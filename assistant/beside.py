"""A worker in a process of its own, beside the gateway of ``assistant serve``, which starts it and ends it.

The model computes there: it shares no interpreter with the event loop that hands frames on, and when it takes too much
memory, or its native code breaks, a process goes that can be started again. Turns that it had are found when their
lease is over, as those of any worker.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import asdict, replace

from assistant.domain.errors import AssistantError, Unavailable
from assistant.process import Say, meanwhile, until
from assistant.settings import Settings

log = logging.getLogger(__name__)
PROGRAM = "assistant.worker"
TOLD = ("engine", "model", "scripted_delay_ms", "data", "redis_url", "log_level")
"""Settings that the worker is told."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Before one that died is started again, each time twice as long, to the longest."""
LONG_LIFE = 60.0
"""After one that lived for so many seconds, pauses begin with the first again."""
STOP_SECONDS = 20.0
"""So long it may take to give its turns back."""


async def start() -> Process:
    """A process that loads what it needs, and waits to be told what to do. ``end`` it in any case."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", PROGRAM),
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        # Ctrl-C is for this process, which ends the other in good order. Another session would be one too many: by
        # sched(7), "The autogroup feature", its threads' nice would not be weighed against this process any more.
        process_group=0,
    )


async def end(process: Process) -> None:
    """Have a process give its turns back and end; one that does not is killed, one that has ended is left alone."""
    assert process.stdin is not None  # noqa: S101
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        log.error("The worker's process does not end: it is killed.")
        process.kill()
        await process.wait()
    process.stdin.close()


@contextlib.asynccontextmanager
async def running_beside(first: Process, settings: Settings, url: str, say: Say) -> AsyncIterator[asyncio.Task[None]]:
    """A worker that is ready, and is started again whenever it dies; the value is a task that never ends by itself.

    Args:
        first: from ``start``.
        url: of Redis.
        say: told what takes long at first.

    Raises:
        AssistantError: it does not get ready; the message is its own.
    """
    ready = asyncio.Event()
    async with meanwhile(_keep(first, _order(settings, url), say, ready), "worker's process") as keeping:
        await until(ready, keeping)
        yield keeping


def _order(settings: Settings, url: str) -> bytes:
    """What a process is told, as a line over its standard input: a password may be in it."""
    fields = asdict(replace(settings, redis_url=url))
    return json.dumps({name: fields[name] for name in TOLD}, default=str).encode() + b"\n"


async def _keep(process: Process | None, order: bytes, say: Say, ready: asyncio.Event) -> None:
    """Have one process after the other. Raises ``AssistantError`` when the first does not get ready."""
    pause = FIRST_PAUSE
    while True:
        started = time.monotonic()
        try:
            await _live(process or await start(), order, log.info if ready.is_set() else say, ready)
        except (AssistantError, OSError) as error:
            if not ready.is_set():
                raise
            if time.monotonic() - started > LONG_LIFE:
                pause = FIRST_PAUSE
            log.error("%s It is started again in %.0f s.", error, pause)
        process = None
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _live(process: Process, order: bytes, say: Say, ready: asyncio.Event) -> None:
    """The life of a process from now on. Raises ``AssistantError`` at its end, with what it said."""
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(order)  # stays open: its end says that this process is gone
        async for line in process.stdout:
            match json.loads(line):
                case {"say": text}:
                    say(text)
                case {"ready": name}:
                    log.info("worker ready: %s", name)
                    ready.set()
                case {"error": message}:
                    raise Unavailable("worker_failed", message)
        raise Unavailable("worker_died", _how(await process.wait()))
    finally:
        await end(process)


def _how(status: int) -> str:
    if status >= 0:
        return f"The worker's process ended with status {status}."
    return f"The worker's process was ended by signal {-status}; 9 often means that memory ran out."
