"""The roles as programs: gateway, HTTP API and worker, apart or together, until a signal says stop.

What they are made of is imported inside: the worker's process of ``serve`` starts before, and loads its own meanwhile.
"""

import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from assistant import beside
from assistant.process import Say, configure_logging, keep_what_is_loaded, raise_open_files, told_to_stop, until
from assistant.settings import Settings

if TYPE_CHECKING:
    from assistant.bootstrap import Stores


async def serve(settings: Settings, say: Say, *, with_api: bool = False) -> None:
    """Gateway and, where it is wanted, HTTP API; beside them a worker and, where no URL is given, a private Redis."""
    configure_logging(settings)
    raise_open_files()
    async with contextlib.AsyncExitStack() as stack:
        process = await beside.start()
        stack.push_async_callback(beside.end, process)

        from assistant.bootstrap import open_stores, redis_of
        from assistant.servers import running_api, running_gateway

        url = await stack.enter_async_context(redis_of(settings))
        worker = await stack.enter_async_context(beside.running_beside(process, settings, url, say))
        stores = await stack.enter_async_context(
            open_stores(url, settings.data / "pictures", picture_quota=_quota(settings))
        )
        stop = told_to_stop()
        address = await stack.enter_async_context(running_gateway(settings, stores))
        keep_what_is_loaded()
        say(address)
        if with_api:
            say(f"HTTP API: {await stack.enter_async_context(running_api(settings, stores))}")
        await until(stop, worker)


async def gateway(settings: Settings, say: Say) -> None:
    """Only the gateway; workers elsewhere answer."""
    from assistant.servers import running_gateway

    await _listen(running_gateway, settings, say)


async def api(settings: Settings, say: Say) -> None:
    """Only the HTTP API; workers elsewhere answer."""
    from assistant.servers import running_api

    await _listen(running_api, settings, say)


async def worker(settings: Settings, say: Say) -> None:
    """Only a worker, for gateways on the same Redis."""
    from assistant.bootstrap import shared_redis
    from assistant.worker import answering

    configure_logging(settings)
    async with answering(settings, shared_redis(settings), None, say) as (name, task):
        stop = told_to_stop()
        say(f"worker ready: {name}")
        await until(stop, task)


async def _listen(
    running: "Callable[[Settings, Stores], AbstractAsyncContextManager[str]]", settings: Settings, say: Say
) -> None:
    from assistant.bootstrap import open_stores, shared_redis

    configure_logging(settings)
    raise_open_files()
    async with (
        open_stores(shared_redis(settings), None, picture_quota=_quota(settings)) as stores,
        running(settings, stores) as address,
    ):
        keep_what_is_loaded()
        stop = told_to_stop()
        say(address)
        await until(stop)


def _quota(settings: Settings) -> int:
    return settings.picture_quota_mb * 1024**2
