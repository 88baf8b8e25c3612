"""How many workers there are: on Valkey, Redis and Redis Cluster."""

import asyncio

import pytest
from redis.asyncio import Redis

from assistant.stores import keys
from assistant.stores import workers as workers_module
from assistant.stores.health import RedisHealth
from assistant.stores.jobs import Jobs
from assistant.stores.workers import Workers
from tests import servers
from tests.assistant.fakes import until


async def names(client: Redis) -> set[str]:
    return {worker["name"] for worker in await client.xinfo_consumers(keys.JOBS, keys.GROUP)}


async def test_a_worker_that_asks_for_nothing_is_here_until_it_is_gone(
    client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "HERE_SECONDS", 0.05)
    monkeypatch.setattr(workers_module, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(workers_module, "ALIVE_SECONDS", 0.5)
    workers = Workers(client)
    assert await workers.count() == 0
    attending = [asyncio.create_task(workers.attend(name)) for name in ("w1", "w2")]
    assert await Jobs(client).take("w1", 0.01) is None
    await asyncio.sleep(0.7)
    assert not any(task.done() for task in attending)
    assert await workers.count() == 2
    assert await RedisHealth(client).workers() == 2
    attending[1].cancel()
    await asyncio.wait(attending[1:])
    assert await workers.count() == 1
    await client.xreadgroup(keys.GROUP, "killed", {keys.JOBS: "9999999999999"})
    assert await workers.count() == 2
    async with asyncio.timeout(10):
        while await workers.count() == 2:
            pass
    assert await workers.count() == 1
    attending[0].cancel()
    await asyncio.wait(attending)
    assert await names(client) == {"killed"}


async def test_to_say_so_takes_no_job_and_keeps_none(client: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "HERE_SECONDS", 0.01)
    jobs = Jobs(client, idle_seconds=0.3)
    await jobs.put("s_1", "t_1")
    while await jobs.take("w1", 0.1) is None:
        pass
    attending = asyncio.create_task(Workers(client).attend("w1"))
    await asyncio.sleep(0.4)
    assert await jobs.take("w2", 0.01) is not None, "a worker that is here has abandoned its job all the same"
    attending.cancel()
    await asyncio.wait([attending])
    assert await names(client) == {"w2"}


async def test_workers_that_are_gone_are_forgotten_but_none_that_has_a_job(
    client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, jobs = Workers(client), Jobs(client)
    await workers.forget_gone()
    for number in range(3):
        await jobs.put("s_1", f"t_{number}")
    while await jobs.take("busy", 0.1) is None:
        pass
    settled = await jobs.take("gone", 0.1)
    assert settled is not None
    await jobs.settle(*settled[:2], "")
    await workers.forget_gone()
    assert await names(client) == {"busy", "gone"}
    monkeypatch.setattr(workers_module, "GONE_SECONDS", 0.0)
    await asyncio.sleep(0.02)
    await workers.forget_gone()
    assert await names(client) == {"busy"}
    assert await Jobs(client, idle_seconds=0.01).take("heir", 0.1) is not None, "what the dead had is offered again"
    await asyncio.sleep(0.02)
    await workers.forget_gone()
    assert await names(client) == {"heir"}


async def test_nothing_is_told_of_workers_while_redis_is_away() -> None:
    away = await asyncio.to_thread(servers.free_port)
    client = Redis(port=away)
    health = RedisHealth(client)
    assert await health.workers() is None
    assert await health.problem() == "Redis does not answer"
    attending = asyncio.create_task(Workers(client).attend("w"))
    await asyncio.sleep(0.05)
    assert not attending.done()
    attending.cancel()
    await until(attending.done)
    await client.aclose()
