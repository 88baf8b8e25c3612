"""Real parts for tests: a private Redis, the stores on it, and the program itself as a process."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from assistant.bootstrap import Stores, open_stores
from assistant.stores import embedded
from assistant.stores.connection import connect

START_SECONDS = 120.0


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Redis that ``make run`` would use, private to this test run."""
    with private_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@contextlib.contextmanager
def private_redis(folder: Path) -> Iterator[str]:
    """An embedded Redis for synchronous callers: its event loop runs in a thread."""
    started = threading.Event()
    loop = asyncio.new_event_loop()
    server: list[embedded.EmbeddedRedis] = []

    async def start() -> None:
        server.append(await embedded.EmbeddedRedis(folder).__aenter__())
        started.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not started.wait(30):
        raise RuntimeError("the private Redis did not start")
    yield server[0].url
    asyncio.run_coroutine_threadsafe(server[0].__aexit__(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
async def stores(redis_url: str, tmp_path: Path) -> AsyncIterator[Stores]:
    """Empty stores."""
    client = connect(redis_url)
    await client.flushall()
    await client.aclose()
    async with open_stores(redis_url, tmp_path / "pictures") as opened:
        yield opened


@dataclass(frozen=True)
class Server:
    """A running ``assistant`` process."""

    process: subprocess.Popen[str]
    url: str

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/ws"

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def worker(self) -> psutil.Process:
        """The process with the model, of ``assistant serve``."""
        return child(self.process.pid, "-m assistant.worker")

    @property
    def redis(self) -> psutil.Process:
        """Its private Redis."""
        return child(self.process.pid, "redis.sock")


def child(parent: int, words: str) -> psutil.Process:
    """The child of a process whose command has these words. Raises ``StopIteration`` where there is none."""
    return next(child for child in psutil.Process(parent).children() if words in " ".join(child.cmdline()))


Start = Callable[..., Server]


@pytest.fixture(scope="session")
def assistant_command() -> list[str]:
    """The installed console script."""
    script = shutil.which("assistant", path=str(Path(sys.executable).parent))
    if script is None:
        raise RuntimeError("the project is not installed here: run `make test`")
    return [script]


@pytest.fixture(scope="session")
def start_session(assistant_command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start ``assistant serve`` (or another role) with arguments; everything is stopped at the end of the run."""
    yield from _starter(assistant_command, tmp_path_factory)


@pytest.fixture
def start(assistant_command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """As ``start_session``, for one test."""
    yield from _starter(assistant_command, tmp_path_factory)


def _starter(command: list[str], folders: pytest.TempPathFactory) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, ready: str = r"http://\S+", environment: dict[str, str] | None = None) -> Server:
            words = list(arguments) or ["serve", "--engine", "scripted"]
            if words[0] == "serve" and "--data" not in words:
                words += ["--data", str(folders.mktemp("data"))]
            if words[0] in ("serve", "gateway") and "--port" not in words:
                words += ["--port", "0"]
            environ = {**os.environ, **(environment or {})}
            process = subprocess.Popen(
                [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
            )
            stack.callback(stop, process)
            return Server(process, _ready_line(process, ready))

        yield start


def _ready_line(process: subprocess.Popen[str], pattern: str) -> str:
    """What matches on standard output, once it does."""
    timer = threading.Timer(START_SECONDS, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(pattern, line):
                return found[0]
    finally:
        timer.cancel()
    assert process.stderr is not None
    raise RuntimeError(f"{process.args!r} did not start: {process.stderr.read()}")


def stop(process: subprocess.Popen[str]) -> None:
    """Stop a process as an operator does; whatever it still prints is read, so that no pipe is left open."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


@pytest.fixture(scope="session")
def model_server(start_session: Start) -> Server:
    """``assistant serve`` as a newcomer starts it, with the packaged model."""
    return start_session("serve")
