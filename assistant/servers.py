"""The composition of what listens: the gateway and the HTTP API, with who is let in and how much they may take."""

import contextlib
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from assistant.bootstrap import Stores, load_prompts
from assistant.clock import SystemClock
from assistant.domain.errors import InvalidRequest
from assistant.domain.limits import Allowance, Allowances, Resource
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
from assistant.process import meanwhile
from assistant.service.limits import Limits
from assistant.service.memories import Memories
from assistant.service.sessions import Sessions
from assistant.service.submissions import Submissions
from assistant.settings import Settings
from assistant.stores.blob_sweep import keep_sweeping
from assistant.tools import all_tools


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
        meanwhile(live.watch(), "revocations"),
        meanwhile(keep_sweeping(stores.pictures), "blob sweep"),
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
        meanwhile(services.live.watch(), "revocations"),
        meanwhile(keep_sweeping(stores.pictures), "blob sweep"),
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
