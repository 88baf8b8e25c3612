"""Redis clients, made the one way that suits this program.

Commands are never repeated behind our back: an append that was carried out, but whose answer was lost, must not be
carried out again. Whoever sent it decides; a submission is safe to send again, a delta is not.
"""

import asyncio
import functools
import hashlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar, cast

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterPipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from assistant.domain.errors import Unavailable

BLOCK_SECONDS = 5.0
"""Longest block of a blocking read."""
ANSWER_SECONDS = 15.0
"""A store that is silent for longer does not answer; lies well above the longest block."""
MOST_CONNECTIONS = 64
"""Commands that are under way at the same time; others wait for them.

Redis carries out one after another anyway, and each connection costs buffers: everybody coming back at once is then a
matter of time, and not of memory or of errors.
"""
MOST_NODE_CONNECTIONS = 512
"""To one node of a cluster, whose client does not wait for one of them."""
STORE_ERRORS = (RedisError, RedisClusterException, OSError)
"""What a client raises whose server does not answer, or refuses; the second, where no node of a cluster answers."""
_NO_NOTICES = MaintNotificationsConfig(enabled=False)
"""With them, redis-py gives out connections that are known to be closed: after a restart each would fail once."""


Entries = list[tuple[str, dict[str, str]]]
"""Entries of a stream: id and fields, oldest first."""


def entries(answer: Any) -> Entries:
    """A stream's answer as redis-py gives it to a client that decodes; nothing is an empty list."""
    return answer or []


def raise_if_cancelled() -> None:
    """End a task that was cancelled while a command was sent.

    Where a time-out is set, redis-py uses ``asyncio.wait_for``, which before Python 3.12 can swallow a cancellation
    (bpo-37658); a loop around commands would go on for ever.

    Raises:
        asyncio.CancelledError: the current task was cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


StoreClass = TypeVar("StoreClass", bound=type)


def reporting(cls: StoreClass) -> StoreClass:
    """Class decorator: public coroutine methods raise ``Unavailable`` where Redis does not answer.

    So that nobody outside this package needs to know what the store is made of.
    """
    for name, method in list(vars(cls).items()):
        if not name.startswith("_") and inspect.iscoroutinefunction(method):
            setattr(cls, name, _reported(method))
    return cls


def _reported(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def report(*args: Any, **kwargs: Any) -> Any:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                result = await method(*args, **kwargs)
        except STORE_ERRORS as error:
            raise Unavailable("unavailable", "The store does not answer now. Try again.", retry_after=1.0) from error
        raise_if_cancelled()
        return result

    return report


def connect(url: str, *, decode: bool = True) -> Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://`` URLs. Connects at its first command.

    It has no time-outs of its own: ``reporting`` puts one around each piece of work, which costs less than one around
    each read and each write.

    Args:
        decode: answers are text; otherwise bytes.
    """
    pool = BlockingConnectionPool.from_url(url, max_connections=MOST_CONNECTIONS, timeout=None, **_options(decode))
    return Redis.from_pool(pool)


def _options(decode: bool) -> dict[str, Any]:
    """Of every connection."""
    return {
        "decode_responses": decode,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": 5.0,
        "health_check_interval": 15,
        "maint_notifications_config": _NO_NOTICES,
    }


class _ClusterPipeline(ClusterPipeline):
    """After one that got no answer the client asks anew which nodes there are, as it does after a single command.

    Otherwise whoever sends pipelines alone would not learn that a node is gone for good.
    """

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:
        try:
            return await super().execute(raise_on_error, allow_redirections)
        except (RedisConnectionError, RedisTimeoutError, OSError):
            self.cluster_client._initialize = True
            raise


class _Cluster(RedisCluster):
    """A client of a cluster whose pipelines learn of a failover."""

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        return _ClusterPipeline(self, transaction)  # type: ignore[abstract]  # redis-py makes ClusterPipeline itself


async def open_client(url: str, *, decode: bool = True) -> Redis:
    """A client that has found a server: of its whole cluster, where it is a node of one. Raises as ``check`` does.

    A client of a cluster has the methods of any other. It follows slots that moved, and repeats nothing else.
    """
    client = connect(url, decode=decode)
    await check(client)
    if not (await client.info("cluster")).get("cluster_enabled"):
        return client
    await client.aclose()
    try:
        cluster = _Cluster.from_url(url, max_connections=MOST_NODE_CONNECTIONS, **_options(decode))
        await cluster.initialize()
    except STORE_ERRORS as error:
        raise Unavailable("redis_cluster", f"This Redis is part of a cluster that cannot be used: {error}") from error
    return cast("Redis", cluster)


async def check(client: Redis) -> str:
    """Version of the server behind a client.

    Raises:
        Unavailable: nothing answers, or it is older than Redis 6.2.
    """
    try:
        info = await client.info("server")
    except STORE_ERRORS as error:
        raise Unavailable("redis_unreachable", f"Redis does not answer: {error}") from error
    version = str(info.get("valkey_version") or info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < (6, 2):
        raise Unavailable("redis_too_old", f"Redis {version} is too old: 6.2 or later is needed.")
    return version


@dataclass(frozen=True)
class Script:
    """A Lua script, run by hash and loaded when the server does not know it yet."""

    source: str
    sha: str

    @classmethod
    def named(cls, name: str, shared: str = "log") -> "Script":
        """The script ``lua/NAME.lua``, after what it shares with others in ``lua/SHARED.lua``."""
        folder = files("assistant.stores") / "lua"
        source = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in (shared, name))
        return cls(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())

    async def run(self, client: Redis, keys: list[str], arguments: list[str | int]) -> list[str]:
        """Run on a client; a single answer comes as a list of one."""
        try:
            answer = await client.evalsha(self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            answer = await client.eval(self.source, len(keys), *keys, *arguments)
        return [str(item) for item in answer] if isinstance(answer, list) else [str(answer)]
