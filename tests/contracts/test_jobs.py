"""Turns are run whatever dies between a conversation and the stream of jobs: on Valkey, Redis and Redis Cluster."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from assistant.bootstrap import Stores, load_prompts, open_stores
from assistant.clock import SystemClock
from assistant.domain.errors import NotFound, Unavailable
from assistant.domain.events import Event, MessageCreated, TurnDelta, TurnFinished, TurnStarted, read_event
from assistant.domain.messages import Message, TextPart
from assistant.domain.turns import Submission
from assistant.engines.scripted import ScriptedEngine
from assistant.ports.engine import EngineInfo
from assistant.ports.queue import Claim, LostClaim
from assistant.service.turns import MOST_ATTEMPTS, TurnRunner
from assistant.stores import keys
from assistant.stores.bells import Bells
from assistant.stores.connection import entries, open_client
from assistant.stores.jobs import Jobs
from assistant.stores.queue import RedisQueue
from assistant.stores.sweeper import Sweeper
from assistant.stores.workers import Workers
from tests import servers

ENGINE = EngineInfo("test", "test-1", context_tokens=100, default_max_tokens=10, slots=1)
OWNER = "anonymous"
LEASE = 0.15


@pytest.fixture
async def stores(client: Redis, url: str) -> AsyncIterator[Stores]:
    async with open_stores(url, None) as opened:
        yield opened


@pytest.fixture
async def queue(client: Redis) -> AsyncIterator[RedisQueue]:
    """With short leases."""
    bells = Bells(client)
    yield RedisQueue(client, bells, SystemClock(), lease_seconds=LEASE)
    await bells.close()


async def submit(stores: Stores, session: str, key: str = "c-1") -> str:
    accepted = await stores.conversations.submit(OWNER, session, Submission(client_message_id=key, text="hello"))
    return accepted.turn_id


async def session_with(stores: Stores, *client_message_ids: str) -> tuple[str, list[str]]:
    session, _ = await stores.conversations.create(OWNER)
    return session, [await submit(stores, session, key) for key in client_message_ids]


async def claimed(queue: RedisQueue, wait: float = 0.1) -> Claim:
    async with asyncio.timeout(10):
        while (claim := await queue.claim("w", ENGINE, wait)) is None:
            pass
    return claim


async def finish(queue: RedisQueue, claim: Claim, text: str = "done") -> None:
    message = Message(
        message_id="m_reply",
        role="assistant",
        parts=(TextPart(text=text),),
        turn_id=claim.turn_id,
        created_at=SystemClock().now(),
    )
    events: list[Event] = [MessageCreated(message=message), TurnFinished(turn_id=claim.turn_id, status="completed")]
    await queue.finish(claim, events, "completed")


async def ends(stores: Stores, session: str) -> list[TurnFinished]:
    events = [read_event(entry.json).event for entry in await stores.conversations.read(session, 0)]
    return [event for event in events if isinstance(event, TurnFinished)]


async def jobs(client: Redis) -> list[str]:
    return [fields["t"] for _, fields in entries(await client.xrange(keys.JOBS))]


async def test_a_turn_whose_workers_all_died_fails_for_good_and_the_next_begins(
    stores: Stores, queue: RedisQueue, client: Redis
) -> None:
    session, turns = await session_with(stores, "c-1", "c-2")
    for attempt in range(1, MOST_ATTEMPTS + 1):
        claim = await claimed(queue)
        assert (claim.turn_id, claim.attempt) == (turns[0], attempt)
        await queue.append(claim, [TurnDelta(turn_id=claim.turn_id, text=f"{attempt} ")])
    last = await claimed(queue)
    assert last.committed == "1 2 3 "
    engine, prompts = ScriptedEngine(), load_prompts()
    runner = TurnRunner(
        engine, stores.conversations, queue, stores.pictures, stores.memories, stores.limits, {}, prompts, SystemClock()
    )
    await runner.run(last)
    [end] = await ends(stores, session)
    assert (end.turn_id, end.status) == (turns[0], "failed")
    assert end.error is not None
    assert end.error.code == "attempts_exhausted"
    assert "Send the message again" in end.error.message
    assert [message.text for message in await stores.conversations.messages(session)] == ["hello", "hello", "1 2 3 "]
    assert last.job_id not in [job_id for job_id, _ in entries(await client.xrange(keys.JOBS))]
    assert (await claimed(queue)).turn_id == turns[1]


async def test_a_lost_stream_of_jobs_is_made_again(stores: Stores, queue: RedisQueue, client: Redis) -> None:
    _, [done] = await session_with(stores, "c-1")
    await finish(queue, await claimed(queue))
    _, [running] = await session_with(stores, "c-1")
    await claimed(queue)
    _, [queued, _] = await session_with(stores, "c-1", "c-2")
    assert await stores.sweeper.sweep() == 0
    await client.delete(keys.JOBS)
    assert await stores.sweeper.sweep() == 2
    assert sorted(await jobs(client)) == sorted([queued, running])
    assert await stores.sweeper.sweep() == 0
    await asyncio.sleep(LEASE)
    taken = [await claimed(queue), await claimed(queue)]
    assert {claim.turn_id for claim in taken} == {queued, running}
    assert done not in await jobs(client)


async def test_a_turn_that_comes_while_conversations_are_walked_over_is_not_queued_again(
    stores: Stores, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, came = Sweeper._active, list[str]()

    async def with_another(sweeper: Sweeper, names: list[str]) -> dict[str, str]:
        session, [turn] = await session_with(stores, "c-1")
        came.append(turn)
        return await active(sweeper, names) | {turn: session}

    for _ in range(2):
        await session_with(stores, "c-1")
    monkeypatch.setattr(Sweeper, "_active", with_another)
    assert await stores.sweeper.sweep() == 0
    assert came
    assert len(await jobs(client)) == 2 + len(came)


async def test_jobs_are_read_from_where_they_were_read_to(client: Redis) -> None:
    known = Jobs(client)
    assert await known.turns() == (set(), "-")
    for number in range(600):
        await known.put("s_1", f"t_{number}")
    found, last = await known.turns()
    assert len(found) == 600
    assert await known.turns(last) == (set(), last)
    await known.put("s_1", "t_new")
    assert (await known.turns(last))[0] == {"t_new"}


async def test_a_sweeper_runs_by_itself(stores: Stores, queue: RedisQueue, client: Redis) -> None:
    _, [turn] = await session_with(stores, "c-1")
    await client.delete(keys.JOBS)
    sweeping = asyncio.create_task(Sweeper(client).run())
    assert (await claimed(queue)).turn_id == turn
    assert await client.pttl(keys.SWEEPER) > 0
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)


async def test_a_gateway_that_died_before_the_job_is_made_good_by_the_next_message(
    stores: Stores, queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise ConnectionError

    for again in ("c-1", "c-2"):
        session, _ = await stores.conversations.create(OWNER)
        with monkeypatch.context() as patched:
            patched.setattr(Jobs, "put", die)
            with pytest.raises(Unavailable):
                await submit(stores, session, "c-1")
        assert await queue.claim("w", ENGINE, 0.05) is None
        await submit(stores, session, again)
        claim = await claimed(queue)
        assert claim.session_id == session
        await finish(queue, claim)
        if again == "c-2":
            await finish(queue, await claimed(queue))


async def test_a_worker_that_died_after_the_end_leaves_the_next_turn_to_another(
    stores: Stores, queue: RedisQueue, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise ConnectionError

    session, turns = await session_with(stores, "c-1", "c-2")
    claim = await claimed(queue)
    with monkeypatch.context() as patched:
        patched.setattr(Jobs, "settle", die)
        with pytest.raises(Unavailable):
            await finish(queue, claim)
    following = await claimed(queue)
    assert [claim.turn_id, following.turn_id] == turns
    await finish(queue, following)
    assert len(await ends(stores, session)) == 2
    async with asyncio.timeout(5):
        while await jobs(client):
            assert await queue.claim("w", ENGINE, 0.05) is None, "a job too many ran a turn again"


async def test_a_turn_whose_record_is_gone_fails_and_the_next_begins(
    stores: Stores, queue: RedisQueue, client: Redis
) -> None:
    session, turns = await session_with(stores, "c-1", "c-2")
    await client.delete(keys.turn(session, turns[0]))
    assert (await claimed(queue)).turn_id == turns[1]
    [end] = await ends(stores, session)
    assert end.error is not None
    assert (end.turn_id, end.status, end.error.code) == (turns[0], "failed", "turn_lost")


async def test_a_job_too_many_does_no_harm(stores: Stores, queue: RedisQueue, client: Redis) -> None:
    session, [turn] = await session_with(stores, "c-1")
    await Jobs(client).put(session, turn)
    claim = await claimed(queue)
    assert await queue.claim("w2", ENGINE, 0.05) is None
    await finish(queue, claim)
    async with asyncio.timeout(5):
        while await jobs(client):
            assert await queue.claim("w2", ENGINE, 0.05) is None
    assert len(await ends(stores, session)) == 1


async def test_an_abandoned_job_is_found_behind_many_that_run(stores: Stores, client: Redis) -> None:
    """One look at abandoned jobs sees ten of them."""
    bells = Bells(client)
    patient = RedisQueue(client, bells, SystemClock(), lease_seconds=3.0)
    for _ in range(25):
        await session_with(stores, "c-1")
    running = [await claimed(patient) for _ in range(25)]
    abandoned = running[-1]
    await client.hset(keys.turn(abandoned.session_id, abandoned.turn_id), "deadline", 0)
    await asyncio.sleep(1.05)
    found = [await patient.claim("w2", ENGINE, 0.001) for _ in range(30)]
    assert [claim.turn_id for claim in found if claim] == [abandoned.turn_id]
    await bells.close()


@pytest.fixture
async def patient(client: Redis) -> AsyncIterator[RedisQueue]:
    """With leases that end after the test."""
    bells = Bells(client)
    yield RedisQueue(client, bells, SystemClock(), lease_seconds=600.0)
    await bells.close()


async def started(stores: Stores, session: str) -> list[tuple[int, bool]]:
    events = [read_event(entry.json).event for entry in await stores.conversations.read(session, 0)]
    return [(event.attempt, event.restart) for event in events if isinstance(event, TurnStarted)]


async def test_a_turn_that_is_given_back_goes_on_at_once_however_often(stores: Stores, patient: RedisQueue) -> None:
    session, [turn] = await session_with(stores, "c-1")
    text = ""
    for attempt in range(1, MOST_ATTEMPTS + 3):
        claim = await claimed(patient)
        assert (claim.turn_id, claim.attempt, claim.failures, claim.committed) == (turn, attempt, 0, text)
        await patient.append(claim, [TurnDelta(turn_id=turn, text=f"{attempt} ")])
        text += f"{attempt} "
        await patient.release(claim)
    last = await claimed(patient)
    assert last.committed == text
    await finish(patient, last, text)
    assert await started(stores, session) == [(attempt, False) for attempt in range(1, MOST_ATTEMPTS + 4)]
    assert len(await ends(stores, session)) == 1


async def test_a_turn_that_is_cut_off_again_and_again_uses_its_attempts_up(
    stores: Stores, patient: RedisQueue, client: Redis
) -> None:
    session, [turn] = await session_with(stores, "c-1")
    for failures in range(MOST_ATTEMPTS + 1):
        claim = await claimed(patient)
        assert (claim.turn_id, claim.attempt, claim.failures) == (turn, failures + 1, failures)
        await patient.release(claim, cut_off=True)
    await client.hset(keys.turn(session, turn), "run", "another server")
    claim = await claimed(patient)
    await client.hset(keys.turn(session, turn), "run", "another server")
    await patient.release(claim, cut_off=True)
    again = await claimed(patient)
    assert (again.failures, (await started(stores, session))[-1]) == (claim.failures, (again.attempt, True))


async def test_who_gave_a_turn_back_can_write_no_more(stores: Stores, patient: RedisQueue, client: Redis) -> None:
    session, [turn] = await session_with(stores, "c-1")
    before = await claimed(patient)
    await patient.append(before, [TurnDelta(turn_id=turn, text="half ")])
    await patient.release(before)
    assert set(await jobs(client)) == {turn}
    for heir in (None, await claimed(patient)):
        head = await stores.conversations.head(OWNER, session)
        for write in (
            patient.append(before, [TurnDelta(turn_id=turn, text="lie")]),
            patient.renew(before),
            patient.release(before),
            patient.finish(before, [TurnFinished(turn_id=turn, status="completed")], "completed"),
        ):
            with pytest.raises(LostClaim):
                await write
        assert await stores.conversations.head(OWNER, session) == head
        if heir:
            await finish(patient, heir)
            with pytest.raises(LostClaim):
                await patient.release(heir)


async def test_what_is_given_back_goes_before_all_that_waits(
    stores: Stores, patient: RedisQueue, queue: RedisQueue, client: Redis
) -> None:
    given_back = [(await session_with(stores, "c-1"))[1][0] for _ in range(2)]
    held = [await claimed(patient) for _ in given_back]
    waiting = [(await session_with(stores, "c-1"))[1][0] for _ in range(3)]
    for claim in held:
        await patient.release(claim)
    order = [await claimed(patient) for _ in range(5)]
    assert [claim.turn_id for claim in order] == [*given_back, *waiting]
    for _ in given_back:
        assert await patient.claim("w", ENGINE, 0.05) is None
    assert await Workers(client).count() == 1
    for claim in order:
        await finish(patient, claim)
    async with asyncio.timeout(5):
        while await jobs(client):
            assert await queue.claim("w", ENGINE, 0.05) is None, "a job too many ran a turn again"


async def test_a_worker_that_waits_is_rung_by_what_is_given_back(stores: Stores, patient: RedisQueue) -> None:
    _, [turn] = await session_with(stores, "c-1")
    held = await claimed(patient)
    waiting = asyncio.create_task(patient.claim("other", ENGINE, 5.0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await patient.release(held)
    async with asyncio.timeout(2):
        claim = await waiting
    assert claim is not None
    assert claim.turn_id == turn


async def test_a_worker_that_dies_while_it_gives_back_leaves_the_job(
    stores: Stores, queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise ConnectionError

    _, [turn] = await session_with(stores, "c-1")
    held = await claimed(queue)
    with monkeypatch.context() as patched:
        patched.setattr(Jobs, "give_back", die)
        with pytest.raises(Unavailable):
            await queue.release(held)
    claim = await claimed(queue)
    assert (claim.turn_id, claim.failures) == (turn, 0)


async def test_what_is_given_back_is_cancelled_and_deleted_as_ever(stores: Stores, patient: RedisQueue) -> None:
    session, [turn] = await session_with(stores, "c-1")
    await patient.release(await claimed(patient))
    await stores.conversations.cancel(OWNER, session, turn, 0)
    held = await claimed(patient)
    async with asyncio.timeout(5), patient.watch_cancel(held) as bell:
        await bell.wait()
    await patient.release(held)
    dropped = await stores.conversations.delete(OWNER, session)
    assert (dropped.begun, dropped.waiting) == ((turn,), ())
    assert await patient.claim("w", ENGINE, 0.05) is None
    with pytest.raises(LostClaim):
        await patient.release(held)
    with pytest.raises(NotFound):
        await stores.conversations.head(OWNER, session)


@pytest.mark.parametrize("kind", servers.KINDS)
async def test_what_was_given_back_outlives_the_server_and_nothing_else_does(
    tmp_path: Path, kind: servers.Kind
) -> None:
    server = servers.RedisServer(tmp_path, kind)
    server.start()
    async with open_stores(server.url, None) as stores:
        session, [turn] = await session_with(stores, "c-1")
        claim = await claimed(stores.queue)
        await stores.queue.append(claim, [TurnDelta(turn_id=turn, text="kept ")])
        await stores.queue.release(claim)
    _start_again(server)
    async with open_stores(server.url, None) as stores:
        claim = await claimed(stores.queue)
        assert (claim.attempt, claim.failures, claim.committed) == (2, 0, "kept ")
        await stores.queue.append(claim, [TurnDelta(turn_id=turn, text="lost")])
        assert await started(stores, session) == [(1, False), (2, False)]
    _start_again(server)
    async with open_stores(server.url, None) as stores:
        await stores.sweeper.sweep()
        bells = Bells(await open_client(server.url))
        queue = RedisQueue(bells._redis, bells, SystemClock(), lease_seconds=LEASE)
        claim = await claimed(queue)
        assert (claim.attempt, claim.failures, claim.committed) == (3, 1, "")
        assert await started(stores, session) == [(1, False), (2, False), (3, True)]
        await finish(queue, claim)
        await bells.close()
        await bells._redis.aclose()
    server.stop()


def _start_again(server: servers.RedisServer) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    server.start()
