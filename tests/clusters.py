"""A Redis Cluster for tests as operators run one: three primaries, each with a replica that takes its place."""

import contextlib
import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from tests.servers import SLOTS, START_SECONDS, binary, free_port

PRIMARIES = 3
_SHARES = [range(SLOTS * n // PRIMARIES, SLOTS * (n + 1) // PRIMARIES) for n in range(PRIMARIES)]
NODE_TIMEOUT_MS = 1000
"""A node that is silent for so long is held to be dead; its replica follows a second or two later."""


class Node:
    """One server of the cluster."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.port = free_port(bus=10000)
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "cluster-enabled": "yes",
            "cluster-announce-ip": "127.0.0.1",
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-replica-validity-factor": "0",  # however late a loaded machine lets it be
            "repl-diskless-sync-delay": "0",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.process = psutil.Popen([binary("debian"), *words], stdout=subprocess.DEVNULL)
        self.client: Any = Redis(port=self.port, decode_responses=True)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.client.close()
        if self.process.is_running():
            self.kill()


class Cluster:
    """The cluster of some servers, once they form one."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._nodes[-1].port}/0"

    def form(self) -> None:
        """Make a cluster of the servers."""
        nodes, primaries = self._nodes, self._nodes[:PRIMARIES]
        for node in nodes:
            _until(lambda node=node: node.client.ping())  # type: ignore[misc]
        for slots, node in zip(_SHARES, primaries, strict=True):
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", slots.start, slots.stop - 1)
        for node in nodes[1:]:
            node.client.execute_command("CLUSTER MEET", "127.0.0.1", nodes[0].port)
        _until(lambda: all(len(node.client.execute_command("CLUSTER NODES")) == len(nodes) for node in nodes))
        for primary, replica in zip(primaries, nodes[PRIMARIES:], strict=True):
            replica.client.execute_command("CLUSTER REPLICATE", primary.client.execute_command("CLUSTER MYID"))
        _until(lambda: all(node.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok" for node in nodes))
        for primary in primaries:
            _until(lambda primary=primary: primary.client.wait(1, 100) == 1)  # type: ignore[misc]

    def primary_of(self, key: str) -> Node:
        """The primary that has a key's slot, or had it."""
        return next(node for slots, node in zip(_SHARES, self._nodes, strict=False) if key_slot(key.encode()) in slots)

    def replicated(self, node: Node) -> None:
        """Wait until the replica of a primary has all that was written to it."""
        own = next(name for name in map(str, itertools.count()) if self.primary_of(name) is node)
        node.client.set(own, "")
        if node.client.wait(1, 10_000) != 1:
            raise RuntimeError("the replica does not keep up")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster, ready to be used."""
    with contextlib.ExitStack() as stack:
        nodes = []
        for number in range(2 * PRIMARIES):
            nodes.append(Node(folder / str(number)))
            stack.callback(nodes[-1].close)
        cluster = Cluster(nodes)
        cluster.form()
        yield cluster


def _until(ready: Callable[[], Any]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(RedisError, OSError):
            if ready():
                return
        if time.monotonic() > deadline:
            raise RuntimeError("the cluster was not formed")
        time.sleep(0.05)
