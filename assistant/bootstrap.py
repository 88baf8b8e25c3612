"""The composition root: the only module that knows every part and puts them together."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from assistant.clock import SystemClock
from assistant.domain.errors import InvalidRequest
from assistant.domain.limits import Allowance, Allowances, Resource
from assistant.domain.prompts import Prompt, parse_prompt
from assistant.gateway.addresses import Addresses
from assistant.gateway.assets import Assets
from assistant.gateway.auth import Authenticator, TokenVerifier, is_loopback
from assistant.gateway.http import HttpRequests
from assistant.gateway.live import LiveSockets
from assistant.gateway.peer import Peer, Services
from assistant.gateway.pictures import Intake
from assistant.gateway.presence import Presence
from assistant.gateway.server import listening
from assistant.gateway.unfinished import Unfinished
from assistant.images import DecoderPool, ImageLimits
from assistant.ports.engine import Engine
from assistant.ports.pictures import BlobStore
from assistant.service.limits import Limits
from assistant.service.memories import Memories
from assistant.service.sessions import Sessions
from assistant.service.submissions import Submissions
from assistant.service.turns import TurnRunner
from assistant.service.worker import Worker
from assistant.settings import Settings
from assistant.stores.api_keys import RedisKeys
from assistant.stores.bells import Bells
from assistant.stores.blob_sweep import keep_sweeping
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
from assistant.tools import all_tools

Say = Callable[[str], None]


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


def allowances(settings: Settings) -> Allowances:
    """What the settings allow every owner; 0 is no limit."""
    buckets: dict[Resource, Allowance] = {
        "turns": Allowance(settings.turns_per_minute, 60.0),
        "tokens": Allowance(settings.tokens_per_hour, 3600.0),
        "pixels": Allowance(settings.megapixels_per_hour * 10**6, 3600.0),
        "bytes": Allowance(settings.megabytes_per_day * 10**6, 86400.0),
    }
    return Allowances(
        {name: bucket for name, bucket in buckets.items() if bucket.most},
        turns_at_once=settings.turns_at_once,
        sockets=settings.sockets_per_owner,
    )


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
            forgotten,
        )


async def _redis_blobs(url: str, stack: contextlib.AsyncExitStack) -> RedisBlobs:
    binary = await open_client(url, decode=False)
    stack.push_async_callback(binary.aclose)
    return RedisBlobs(binary)


@contextlib.asynccontextmanager
async def running_gateway(settings: Settings, stores: Stores) -> AsyncIterator[str]:
    """The gateway on its port; the value is its URL."""
    tools = all_tools(load_prompts())
    owner_limits = Limits(stores.limits, allowances(settings))
    presence = Presence(owner_limits)
    addresses = Addresses(settings.sockets_per_address, settings.unknown_per_address)
    submissions = Submissions(stores.conversations, stores.pictures, tools, owner_limits)
    taught = Memories(stores.memories, stores.pictures, SystemClock())
    kept = Sessions(stores.conversations, stores.pictures, stores.memories, owner_limits)
    decoders = DecoderPool(ImageLimits())
    assets = Assets(Path(str(files("assistant"))) / "web" / "dist")
    door = _door(settings, stores)
    live = LiveSockets(stores.keys, SystemClock())
    requests = HttpRequests(assets, stores.pictures, stores.health, SystemClock(), door)

    services = Services(
        conversations=stores.conversations,
        submissions=submissions,
        taught=taught,
        kept=kept,
        intake=Intake(stores.pictures, decoders, owner_limits),
        unfinished=Unfinished(),
        door=door,
        live=live,
        presence=presence,
        frames_per_second=settings.frames_per_second,
    )
    async with (
        _meanwhile(live.watch(), "revocations"),
        _meanwhile(keep_sweeping(stores.pictures), "blob sweep"),
        contextlib.aclosing(decoders),
        presence.running(),
        listening(settings.host, settings.port, requests, lambda client: Peer(client, services), addresses) as port,
    ):
        yield _url(settings.host, port)


@contextlib.asynccontextmanager
async def running_api(settings: Settings, stores: Stores) -> AsyncIterator[str]:
    """The HTTP API on its port; the value is its URL."""
    from assistant.api import server
    from assistant.api.app import make_app
    from assistant.api.services import Services as ApiServices

    owner_limits = Limits(stores.limits, allowances(settings))
    decoders = DecoderPool(ImageLimits())
    services = ApiServices(
        conversations=stores.conversations,
        submissions=Submissions(stores.conversations, stores.pictures, all_tools(load_prompts()), owner_limits),
        kept=Sessions(stores.conversations, stores.pictures, stores.memories, owner_limits),
        intake=Intake(stores.pictures, decoders, owner_limits),
        limits=owner_limits,
        door=_door(settings, stores),
        live=LiveSockets(stores.keys, SystemClock()),
        presence=Presence(owner_limits),
        health=stores.health,
    )
    serving = server.listening(
        settings.host,
        settings.api_port,
        make_app(services),
        Addresses(settings.sockets_per_address, settings.unknown_per_address),
        services.end_streams,
        requests_per_second=settings.frames_per_second,
    )
    async with (
        _meanwhile(services.live.watch(), "revocations"),
        _meanwhile(keep_sweeping(stores.pictures), "blob sweep"),
        contextlib.aclosing(decoders),
        services.presence.running(),
        serving as port,
    ):
        yield _url(settings.host, port)


def _door(settings: Settings, stores: Stores) -> Authenticator:
    return Authenticator(
        stores.keys,
        SystemClock(),
        anonymous=settings.anonymous,
        origins=settings.origins,
        tokens=make_verifier(settings),
    )


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_verifier(settings: Settings) -> TokenVerifier | None:
    """What takes JSON Web Tokens by the settings; None where none are taken.

    Raises:
        InvalidRequest: half of the settings is missing, or the keys are in no file and at no safe URL.
    """
    issuer, audience, keys = settings.jwt_issuer, settings.jwt_audience, settings.jwt_keys
    if issuer is None and audience is None and keys is None:
        return None
    if issuer is None or audience is None or keys is None or not settings.jwt_algorithms:
        raise InvalidRequest(
            "jwt_settings_missing",
            "JSON Web Tokens are taken where all of --jwt-issuer, --jwt-audience and --jwt-keys are given.",
        )
    from assistant.gateway.jwts import FileKeys, JwtVerifier, UrlKeys

    url = urlsplit(keys)
    if url.scheme == "https" or (url.scheme == "http" and is_loopback(url.hostname or "")):
        return JwtVerifier(issuer, audience, settings.jwt_algorithms, UrlKeys(keys))
    if not Path(keys).is_file():
        raise InvalidRequest("jwt_keys_missing", f"--jwt-keys is neither a file nor an https:// URL: {keys}")
    return JwtVerifier(issuer, audience, settings.jwt_algorithms, FileKeys(Path(keys)))


@contextlib.asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[asyncio.Task[None]]:
    """Have work done that never ends while the context is open; the value is its task."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


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
            _meanwhile(stores.sweeper.run(), "sweeper"),
            _meanwhile(stores.forgotten.follow(engine), "forgotten pictures"),
            _meanwhile(Worker(name, engine.info, stores.queue, runner).run(), "worker") as task,
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
