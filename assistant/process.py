"""What every role does as a process: it logs, opens files, works meanwhile, and ends when a signal says so."""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from assistant.settings import Settings

Say = Callable[[str], None]
"""Takes what a person is told."""


def configure_logging(settings: Settings) -> None:
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def raise_open_files() -> None:
    """Let this process open as many files as it may: every connection is one, and the usual limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_what_is_loaded() -> None:
    """Look no longer for garbage in what start-up has made: that takes 20 ms, in which nothing is sent on."""
    gc.collect()
    gc.freeze()


@contextlib.asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[asyncio.Task[None]]:
    """Have work done that never ends while the context is open; the value is its task."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def told_to_stop() -> asyncio.Event:
    """Set at SIGINT or SIGTERM from now on: call it before anybody is told that this process is ready."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def until(event: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Return when the event is set; raise what a task raises, should one end before."""
    waiting = asyncio.create_task(event.wait())
    try:
        done, _ = await asyncio.wait((waiting, *tasks), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    for task in done:
        task.result()
