"""A worker as a process: of the role ``assistant worker``, or beside the gateway of ``assistant serve``.

In the second case it is a child (``beside``): its settings come in one line over standard input, whose end is the
parent's. What it has to say goes back as lines of JSON, each an object with one key.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from assistant.bootstrap import make_engine, open_stores, running_worker
from assistant.domain.errors import AssistantError
from assistant.process import Say, configure_logging, keep_what_is_loaded, told_to_stop, until
from assistant.settings import Settings

SWITCH_SECONDS = 0.0005
"""After so long a thread that runs Python lets another: an event loop that waits for 5 ms, Python's own, is late."""
ORPHAN_SECONDS = 10
"""Without its parent it ends after so long at most, whatever it does."""


@contextlib.asynccontextmanager
async def answering(
    settings: Settings, url: str, pictures: Path | None, say: Say
) -> AsyncIterator[tuple[str, asyncio.Task[None]]]:
    """A worker with its stores and its engine; the value is the engine's name, and a task that never ends by itself.

    Args:
        url: of Redis.
        pictures: folder of their bytes, which are in Redis where there is none.

    Raises:
        AssistantError: there is no Redis, or no such model.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    _push_nobody()
    async with open_stores(url, pictures) as stores:
        engine = await asyncio.to_thread(make_engine, settings, say, settings.data / "features")
        async with running_worker(engine, stores) as task:
            keep_what_is_loaded()
            yield f"{engine.info.name} {engine.info.model}", task


def _push_nobody() -> None:
    """Wake up without taking a core from who is at work there: a worker computes, a gateway hands its words on.

    SCHED_BATCH of sched(7), for this thread and those that it makes.
    """
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> None:
    """Answer as a child, until SIGTERM or the end of the parent."""
    parent = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no line for the parent

    def tell(**what: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is gone, which is noticed otherwise
            os.write(parent, json.dumps(what).encode() + b"\n")

    line = sys.stdin.readline()
    if not line:
        return
    fields = json.loads(line)
    settings = Settings(**{**fields, "data": Path(fields["data"])})
    configure_logging(settings)
    try:
        asyncio.run(_answer(settings, tell))
    except (AssistantError, OSError) as error:
        tell(error=str(error))
        sys.exit(2)


async def _answer(settings: Settings, tell: Callable[..., None]) -> None:
    assert settings.redis_url is not None  # noqa: S101
    asyncio.get_running_loop().add_reader(0, _stop_alone)
    pictures = settings.data / "pictures"
    async with answering(settings, settings.redis_url, pictures, lambda text: tell(say=text)) as (name, task):
        stop = told_to_stop()
        tell(ready=name)
        await until(stop, task)


def _stop_alone() -> None:
    """Stop without the parent, which may have taken Redis along. What still loads is killed by the signal."""
    asyncio.get_running_loop().remove_reader(0)
    signal.alarm(ORPHAN_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
