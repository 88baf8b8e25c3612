"""The composition root of what every role stands on, and of the worker; ``servers`` is that of what listens."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from assistant.clock import SystemClock
from assistant.domain.errors import InvalidRequest
from assistant.domain.prompts import Prompt, parse_prompt
from assistant.ports.engine import Engine
from assistant.ports.pictures import BlobStore
from assistant.process import Say, meanwhile
from assistant.service.turns import TurnRunner
from assistant.service.worker import Worker
from assistant.settings import Settings
from assistant.stores.api_keys import RedisKeys
from assistant.stores.bells import Bells
from assistant.stores.blobs import FolderBlobs, RedisBlobs
from assistant.stores.connection import open_client
from assistant.stores.conversations import RedisConversations
from assistant.stores.embedded import EmbeddedRedis, running_url
from assistant.stores.forgotten import Forgotten
from assistant.stores.health import RedisHealth
from assistant.stores.limits import RedisLimits
from assistant.stores.memories import RedisMemories
from assistant.stores.pictures import RedisPictures
from assistant.stores.queue import RedisQueue
from assistant.stores.sweeper import Sweeper
from assistant.stores.workers import Workers
from assistant.tools import all_tools


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept, on one Redis."""

    conversations: RedisConversations
    queue: RedisQueue
    pictures: RedisPictures
    memories: RedisMemories
    keys: RedisKeys
    limits: RedisLimits
    health: RedisHealth
    sweeper: Sweeper
    workers: Workers
    forgotten: Forgotten


def load_prompts() -> dict[str, Prompt]:
    """All prompts by name: from the installed package, or from ``prompts/`` of a checkout."""
    packaged = Path(str(files("assistant"))) / "prompts"
    folder = packaged if packaged.is_dir() else packaged.parent.parent / "prompts"
    prompts = [parse_prompt(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.md"))]
    return {prompt.name: prompt for prompt in prompts}


def make_engine(settings: Settings, say: Say, features: Path | None = None) -> Engine:
    """The engine of the settings; loading a model takes seconds.

    Args:
        features: folder where what it saw of pictures outlives the process.

    Raises:
        InvalidRequest: the model cannot be loaded.
    """
    if settings.engine == "scripted":
        from assistant.engines.scripted import ScriptedEngine

        return ScriptedEngine(delay_ms=settings.scripted_delay_ms)
    from assistant.engines.vlbm import VlbmEngine

    return VlbmEngine.load(settings.model, say, features)


@contextlib.asynccontextmanager
async def open_stores(url: str, blob_folder: Path | None, *, picture_quota: int = 1024**3) -> AsyncIterator[Stores]:
    """The stores on a Redis; pictures in ``blob_folder``, or in Redis too where there is none.

    Args:
        picture_quota: bytes that the pictures of one owner may have.

    Raises:
        Unavailable: Redis does not answer, or is too old.
    """
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        client = await open_client(url)
        stack.push_async_callback(client.aclose)
        bells = Bells(client)
        stack.push_async_callback(bells.close)
        blobs: BlobStore = FolderBlobs(blob_folder) if blob_folder else await _redis_blobs(url, stack)
        forgotten = Forgotten(client, bells)
        yield Stores(
            RedisConversations(client, bells, clock),
            RedisQueue(client, bells, clock),
            RedisPictures(client, blobs, forgotten, quota=picture_quota),
            RedisMemories(client),
            RedisKeys(client, bells),
            RedisLimits(client, bells),
            RedisHealth(client),
            Sweeper(client),
            Workers(client),
            forgotten,
        )


async def _redis_blobs(url: str, stack: contextlib.AsyncExitStack) -> RedisBlobs:
    binary = await open_client(url, decode=False)
    stack.push_async_callback(binary.aclose)
    return RedisBlobs(binary)


@contextlib.asynccontextmanager
async def running_worker(engine: Engine, stores: Stores) -> AsyncIterator[asyncio.Task[None]]:
    """A worker with its engine, which forgets what is forgotten, and a sweeper; the value is the worker's task.

    It never ends by itself.
    """
    prompts = load_prompts()
    runner = TurnRunner(
        engine,
        stores.conversations,
        stores.queue,
        stores.pictures,
        stores.memories,
        stores.limits,
        all_tools(prompts),
        prompts,
        SystemClock(),
    )
    name = f"{socket.gethostname()}-{os.getpid()}"
    try:
        async with (
            meanwhile(stores.workers.attend(name), "sign of life"),
            meanwhile(stores.sweeper.run(), "sweeper"),
            meanwhile(stores.forgotten.follow(engine), "forgotten pictures"),
            meanwhile(Worker(name, engine.info, stores.queue, runner).run(), "worker") as task,
        ):
            yield task
    finally:
        await engine.close()


@contextlib.asynccontextmanager
async def redis_of(settings: Settings) -> AsyncIterator[str]:
    """The URL of the Redis to use: the one that is given, or a private one in the data folder."""
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    async with EmbeddedRedis(settings.data / "redis") as embedded:
        yield embedded.url


@contextlib.asynccontextmanager
async def redis_at_hand(settings: Settings) -> AsyncIterator[str]:
    """As ``redis_of``, but where an assistant runs on the data folder, its Redis."""
    running = None if settings.redis_url else await asyncio.to_thread(running_url, settings.data / "redis")
    if running is not None:
        yield running
        return
    async with redis_of(settings) as url:
        yield url


def shared_redis(settings: Settings) -> str:
    """The Redis between roles that are split. Raises ``InvalidRequest`` when none is given."""
    if settings.redis_url is None:
        raise InvalidRequest(
            "redis_url_missing", "This role shares a Redis with the others: give --redis-url or set REDIS_URL."
        )
    return settings.redis_url
