"""The roles as programs: all in one process, or gateway, HTTP API and worker apart, until a signal says stop."""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import sys

from assistant.bootstrap import (
    Say,
    make_engine,
    open_stores,
    redis_of,
    running_api,
    running_gateway,
    running_worker,
    shared_redis,
)
from assistant.settings import Settings


def _raise_open_files() -> None:
    """Let this process open as many files as it may: every connection is one, and the usual limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _configure_logging(settings: Settings) -> None:
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")


async def _until_stopped(*tasks: asyncio.Task[None]) -> None:
    """Return at SIGINT or SIGTERM; raise what a task raises, should one end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in done:
        task.result()


def _quota(settings: Settings) -> int:
    return settings.picture_quota_mb * 1024**2


SWITCH_SECONDS = 0.0005
"""After so long a thread that runs Python lets another: an event loop that waits for 5 ms, Python's own, is late."""


def keep_what_is_loaded() -> None:
    """Look no longer for garbage in what start-up has made: that takes 20 ms, in which nothing is sent on."""
    gc.collect()
    gc.freeze()


async def serve(settings: Settings, say: Say, *, with_api: bool = False) -> None:
    """Gateway, worker, the HTTP API where it is wanted, and where no URL is given, a private Redis."""
    _configure_logging(settings)
    _raise_open_files()
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(redis_of(settings))
        stores = await stack.enter_async_context(
            open_stores(url, settings.data / "pictures", picture_quota=_quota(settings))
        )
        sys.setswitchinterval(SWITCH_SECONDS)
        engine = await asyncio.to_thread(make_engine, settings, say, settings.data / "features")
        worker = await stack.enter_async_context(running_worker(engine, stores))
        address = await stack.enter_async_context(running_gateway(settings, stores))
        keep_what_is_loaded()
        say(address)
        if with_api:
            say(f"HTTP API: {await stack.enter_async_context(running_api(settings, stores))}")
        await _until_stopped(worker)


async def gateway(settings: Settings, say: Say) -> None:
    """Only the gateway; workers elsewhere answer."""
    _configure_logging(settings)
    _raise_open_files()
    url = shared_redis(settings)
    async with (
        open_stores(url, None, picture_quota=_quota(settings)) as stores,
        running_gateway(settings, stores) as address,
    ):
        keep_what_is_loaded()
        say(address)
        await _until_stopped()


async def api(settings: Settings, say: Say) -> None:
    """Only the HTTP API; workers elsewhere answer."""
    _configure_logging(settings)
    _raise_open_files()
    url = shared_redis(settings)
    async with (
        open_stores(url, None, picture_quota=_quota(settings)) as stores,
        running_api(settings, stores) as address,
    ):
        say(address)
        await _until_stopped()


async def worker(settings: Settings, say: Say) -> None:
    """Only a worker, for gateways on the same Redis."""
    _configure_logging(settings)
    url = shared_redis(settings)
    async with open_stores(url, None) as stores:
        sys.setswitchinterval(SWITCH_SECONDS)
        engine = await asyncio.to_thread(make_engine, settings, say, settings.data / "features")
        async with running_worker(engine, stores) as task:
            keep_what_is_loaded()
            say(f"worker ready: {engine.info.name} {engine.info.model}")
            await _until_stopped(task)
