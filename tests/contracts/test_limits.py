"""The contract of the limits: on the private Redis, on Debian's and on a cluster, with real time."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from assistant.domain.errors import LimitReached
from assistant.domain.limits import Allowance, Allowances, Resource
from assistant.ports.limits import Turn
from assistant.stores import keys
from assistant.stores.bells import Bells
from assistant.stores.limits import RedisLimits

ME = "me"
SLOW = 1e6
"""Seconds in which nothing comes back that a test would notice."""


class House:
    """Limits on an emptied Redis, which forgets turns and gateways soon."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.bells = Bells(self.redis)
        self.limits = RedisLimits(self.redis, self.bells, running_seconds=0.3, sockets_seconds=0.3)

    async def kept(self) -> dict[str, str]:
        return cast("dict[str, str]", await self.redis.hgetall(keys.limits(ME)))


@pytest.fixture
async def house(client: Redis) -> AsyncIterator[House]:
    house = House(client)
    yield house
    await house.bells.close()


def allowed(**most: int) -> Allowances:
    return Allowances({cast("Resource", name): Allowance(count, SLOW) for name, count in most.items()})


async def test_several_are_taken_at_once_or_none(house: House) -> None:
    three = allowed(turns=3, tokens=100)
    await house.limits.take(ME, {"turns": 1, "tokens": 60}, three)
    before = await house.kept()
    with pytest.raises(LimitReached) as refused:
        await house.limits.take(ME, {"turns": 1, "tokens": 60}, three, Turn("t", 60))
    assert refused.value.code == "tokens_exhausted"
    assert await house.kept() == before, "something was written"
    assert (await house.limits.standing(ME, three.buckets)).remaining == {"turns": 2, "tokens": 40}
    await house.limits.take(ME, {"turns": 1, "tokens": 40}, three)


async def test_a_negative_amount_is_given_back_and_no_bucket_holds_more_than_all(house: House) -> None:
    ten = allowed(bytes=10)
    await house.limits.take(ME, {"bytes": 8}, ten)
    await house.limits.take(ME, {"bytes": -5}, ten)
    assert (await house.limits.standing(ME, ten.buckets)).remaining == {"bytes": 7}
    await house.limits.take(ME, {"bytes": -5}, ten)
    assert (await house.limits.standing(ME, ten.buckets)).remaining == {"bytes": 10}
    await house.limits.take(ME, {"bytes": 10}, ten)
    with pytest.raises(LimitReached):
        await house.limits.take(ME, {"bytes": 1}, ten)
    await house.limits.take(ME, {"tokens": 1}, one_token := allowed(tokens=1), Turn("t", 1))
    await house.limits.settle(ME, "t", 9)  # it owes eight
    await house.limits.take(ME, {"tokens": -2}, one_token)
    assert (await house.limits.standing(ME, one_token.buckets)).remaining == {"tokens": 0}


async def test_owners_do_not_share(house: House) -> None:
    one = allowed(turns=1)
    await house.limits.take(ME, {"turns": 1}, one)
    await house.limits.take("you", {"turns": 1}, one)
    with pytest.raises(LimitReached):
        await house.limits.take(ME, {"turns": 1}, one)


async def test_what_is_not_limited_is_not_counted(house: House) -> None:
    await house.limits.take(ME, {"turns": 5, "tokens": 5}, Allowances({}), Turn("t", 5))
    assert not await house.kept()


async def test_more_than_a_full_bucket_is_refused_for_good(house: House) -> None:
    with pytest.raises(LimitReached, match=r"at most 10 are allowed") as refused:
        await house.limits.take(ME, {"bytes": 11}, allowed(bytes=10))
    assert refused.value.retry_after is None
    assert not await house.kept()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    most=st.integers(1, 10**10),
    share=st.floats(0, 1),
    again=st.floats(0, 1),
    seconds=st.floats(0.01, 0.2),
)
async def test_retry_after_is_true(house: House, most: int, share: float, again: float, seconds: float) -> None:
    """Asked again when it was said, it succeeds; and what is refused was not yet there."""
    await house.redis.flushall()
    bucket = Allowances({"tokens": Allowance(most, seconds), "turns": Allowance(2, seconds / 2)})
    await house.limits.take(ME, {"tokens": max(int(most * share), 1), "turns": 2}, bucket)
    amounts: dict[Resource, int] = {"tokens": max(int(most * again), 1), "turns": 1}
    [answer] = await asyncio.gather(house.limits.take(ME, amounts, bucket), return_exceptions=True)
    if answer is None:
        return  # enough had come back already
    assert isinstance(answer, LimitReached)
    assert answer.retry_after is not None
    assert 0 < answer.retry_after <= seconds + 0.002
    await asyncio.sleep(answer.retry_after)
    await house.limits.take(ME, amounts, bucket)


async def test_many_at_the_same_time_get_no_more_than_there_is(house: House) -> None:
    ten = allowed(turns=10)
    answers = await asyncio.gather(
        *(house.limits.take(ME, {"turns": 1}, ten) for _ in range(40)), return_exceptions=True
    )
    assert sum(answer is None for answer in answers) == 10


async def test_a_turn_is_settled_once_by_what_it_generated(house: House) -> None:
    bucket = allowed(tokens=100, turns=5)
    await house.limits.take(ME, {"tokens": 80, "turns": 1}, bucket, Turn("t_1", 80))
    for _ in range(2):
        await house.limits.settle(ME, "t_1", 30)
    assert (await house.limits.standing(ME, bucket.buckets)).remaining == {"tokens": 70, "turns": 4}


async def test_a_turn_that_never_began_costs_nothing(house: House) -> None:
    bucket = allowed(tokens=100, turns=5)
    await house.limits.take(ME, {"tokens": 80, "turns": 1}, bucket, Turn("t_1", 80))
    await house.limits.settle(ME, "t_1", 0, refund=True)
    standing = await house.limits.standing(ME, bucket.buckets)
    assert standing.remaining == {"tokens": 100, "turns": 5}
    assert standing.reset == {"tokens": 0, "turns": 0}


async def test_what_was_generated_beyond_is_owed(house: House) -> None:
    bucket = allowed(tokens=100)
    await house.limits.take(ME, {"tokens": 10}, bucket, Turn("t_1", 10))
    await house.limits.settle(ME, "t_1", 150)
    standing = await house.limits.standing(ME, bucket.buckets)
    assert standing.remaining == {"tokens": 0}
    assert standing.reset["tokens"] == pytest.approx(1.5 * SLOW, rel=1e-3)


async def test_turns_at_once_until_one_is_settled_or_forgotten(house: House) -> None:
    two = Allowances({}, turns_at_once=2)
    for turn_id in ("t_1", "t_2"):
        await house.limits.take(ME, {"turns": 1}, two, Turn(turn_id, 5))
    with pytest.raises(LimitReached) as refused:
        await house.limits.take(ME, {"turns": 1}, two, Turn("t_3", 5))
    assert refused.value.code == "too_many_running"
    await house.limits.settle(ME, "t_1", 5)
    await house.limits.take(ME, {"turns": 1}, two, Turn("t_3", 5))
    await asyncio.sleep(0.35)  # a worker that died settles nothing
    for turn_id in ("t_4", "t_5"):
        await house.limits.take(ME, {"turns": 1}, two, Turn(turn_id, 5))


async def test_a_limit_that_was_lowered_holds_at_once(house: House) -> None:
    await house.limits.take(ME, {"turns": 1}, allowed(turns=100))
    await house.limits.take(ME, {"turns": 2}, allowed(turns=2))
    with pytest.raises(LimitReached):
        await house.limits.take(ME, {"turns": 1}, allowed(turns=2))


async def test_sockets_of_all_gateways_count_until_a_gateway_is_silent(house: House) -> None:
    hold = house.limits.hold_sockets
    await hold(ME, "a", 2, 3)
    await hold(ME, "b", 1, 3)
    with pytest.raises(LimitReached) as refused:
        await hold(ME, "b", 2, 3)
    assert refused.value.code == "too_many_sockets"
    await hold(ME, "a", 1, 0)
    await hold(ME, "b", 2, 3)
    await asyncio.sleep(0.35)  # both died
    await hold(ME, "c", 3, 3)
    await hold(ME, "c", 0, 0)
    assert not await house.redis.exists(keys.sockets(ME))


async def test_every_key_goes_by_itself(house: House) -> None:
    await house.limits.take(ME, {"turns": 1}, allowed(turns=3), Turn("t", 0))
    await house.limits.hold_sockets(ME, "a", 1, 0)
    assert await house.redis.ttl(keys.limits(ME)) > SLOW
    assert 0 < await house.redis.pttl(keys.sockets(ME)) <= 300


async def test_the_bell_rings_when_something_is_taken_or_given_back(house: House) -> None:
    async with house.limits.watch(ME) as bell, asyncio.timeout(10):
        await bell.wait()
        await asyncio.sleep(0.1)  # the subscription's own ring
        await bell.wait()
        ringing = asyncio.create_task(bell.wait())
        await house.limits.take(ME, {"turns": 1}, allowed(turns=3), Turn("t", 0))
        await ringing
        ringing = asyncio.create_task(bell.wait())
        await house.limits.settle(ME, "t", 0)
        await ringing
