"""The contract of the key store: in Redis, on the private one and on Debian's, and in the fake that other tests use."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from assistant.domain.access import EVERYTHING, ApiKey
from assistant.ports.keys import KeyStore
from assistant.stores import keys
from assistant.stores.api_keys import RedisKeys
from assistant.stores.bells import Bells
from assistant.stores.connection import connect
from tests import servers
from tests.assistant.fakes import FakeKeys

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


_URLS = ["redis_url", "debian_redis_url"]


@pytest.fixture(scope="module")
def debian_redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.running(tmp_path_factory.mktemp("debian"), "debian") as url:
        yield url


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Redis, RedisKeys]]:
    """A store on an emptied Redis."""
    client = connect(url)
    await client.flushall()
    bells = Bells(client)
    yield client, RedisKeys(client, bells)
    await bells.close()
    await client.aclose()


@pytest.fixture(params=_URLS)
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture(params=[*_URLS, "fake"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[KeyStore]:
    if request.param == "fake":
        yield FakeKeys()
        return
    async with opened(str(request.getfixturevalue(request.param))) as (_, real):
        yield real


def key(key_id: str = "a", minutes: int = 0, **more: object) -> ApiKey:
    return ApiKey.model_validate(
        {
            "key_id": key_id,
            "digest": "0" * 64,
            "name": "a laptop, Zoë's",
            "owner": "ada",
            "scopes": EVERYTHING,
            "created_at": NOW + timedelta(minutes=minutes),
            **more,
        }
    )


async def test_a_key_is_kept_until_it_is_revoked(store: KeyStore) -> None:
    assert await store.all() == []
    assert await store.find("a") is None
    first, second = key(expires_at=NOW), key("b", 1, scopes={"read"})
    for one in (first, second):
        await store.add(one)
    assert await store.find("a") == first
    assert await store.all() == [first, second]
    assert await store.revoke("a")
    assert not await store.revoke("a")
    assert await store.find("a") is None
    assert await store.all() == [second]


async def test_which_keys_are_still_kept(store: KeyStore) -> None:
    assert await store.kept([]) == set()
    for name in "abc":
        await store.add(key(name))
    await store.revoke("b")
    assert await store.kept(["b", "a", "nobody's"]) == {"a"}


async def test_a_revocation_rings(store: KeyStore) -> None:
    await store.add(key())
    async with asyncio.timeout(5), store.watch() as bell:
        async with asyncio.timeout(1):
            waiting = asyncio.create_task(bell.wait())
            await asyncio.sleep(0.2)  # the subscription's own ring
            if waiting.done():
                waiting = asyncio.create_task(bell.wait())
        await store.revoke("a")
        await waiting


async def test_a_bell_rings_when_a_ring_may_have_been_missed(url: str) -> None:
    async with opened(url) as (client, store), asyncio.timeout(20), store.watch() as bell:
        await store.add(key())
        await bell.wait()
        await asyncio.sleep(0.2)  # the confirmation of the subscription may ring once more
        waiting = asyncio.create_task(bell.wait())
        await asyncio.sleep(0)
        for connection in await client.client_list(_type="pubsub"):
            await client.client_kill_filter(_id=connection["id"])
        await client.hdel(keys.API_KEYS, "a")  # revoked, and nobody rang
        await waiting
        assert await store.kept(["a"]) == set()


async def test_keys_are_listed_in_the_order_in_which_they_were_made(url: str) -> None:
    async with opened(url) as (_, store):
        for name, minutes in (("c", 2), ("a", 3), ("b", 1)):
            await store.add(key(name, minutes))
        assert [one.key_id for one in await store.all()] == ["b", "c", "a"]
