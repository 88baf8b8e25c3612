"""A client of a Redis that restarts. That of a cluster lets go of idle connections at the first failure."""

import asyncio
from pathlib import Path

import pytest

from assistant.stores.connection import open_client
from tests import servers


@pytest.mark.parametrize("kind", ["valkey", "debian"])
async def test_after_a_restart_no_idle_connection_fails(tmp_path: Path, kind: servers.Kind) -> None:
    server = servers.RedisServer(tmp_path, kind)
    server.start()
    client = await open_client(server.url)
    await asyncio.gather(*(client.blpop(["nothing"], timeout=0.2) for _ in range(5)))
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.start()
    await asyncio.sleep(0.1)
    await asyncio.gather(*(client.set("key", "value") for _ in range(5)))
    await client.aclose()
    server.stop()
