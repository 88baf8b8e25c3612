"""The servers that the stores have to work on, and an empty one."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from assistant.stores.connection import open_client
from tests import servers


@pytest.fixture(scope="module", params=servers.KINDS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of Valkey, Redis and Redis Cluster, one after the other."""
    with servers.running(tmp_path_factory.mktemp(request.param), request.param) as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[Redis]:
    """A client of one of them, emptied."""
    opened = await open_client(url)
    await opened.flushall()
    yield opened
    await opened.aclose()
