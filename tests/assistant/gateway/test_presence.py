"""Who is connected: leases, and news of limits."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from assistant.domain.errors import LimitReached, Unavailable
from assistant.domain.limits import Allowances, Standing
from assistant.gateway import presence as presence_module
from assistant.gateway.presence import Presence, is_notable
from assistant.gateway.wire.answers import LimitsUpdated
from assistant.service.limits import Limits
from tests.assistant.fakes import FakeLimits, until


class House:
    """Presence over counts that are kept in a list."""

    def __init__(self) -> None:
        self.store = FakeLimits()
        self.store.left = Standing({"turns": 100}, {"turns": 0.0})
        self.presence = Presence(Limits(self.store, Allowances({}, sockets=2)))
        self.told: list[LimitsUpdated] = []

    def socket(self) -> presence_module.Tell:
        async def tell(event: LimitsUpdated) -> None:
            self.told.append(event)

        return tell

    def left(self, turns: int) -> None:
        self.store.left = Standing({"turns": turns}, {"turns": 1.0})
        self.store.bell.rung.set()


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(presence_module, "PAUSE_SECONDS", 0.01)
    house = House()
    async with house.presence.running():
        yield house


async def test_sockets_are_counted_as_they_come_and_go(house: House) -> None:
    first, second, third = house.socket(), house.socket(), house.socket()
    await house.presence.enter("me", first)
    await house.presence.enter("me", second)
    with pytest.raises(LimitReached):
        await house.presence.enter("me", third)
    await house.presence.leave("me", third)  # as a peer does that was not let in
    await house.presence.leave("me", first)
    await house.presence.leave("me", second)
    assert house.store.sockets == [1, 2, 1, 0]


async def test_leases_are_renewed_through_an_outage(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "RENEW_SECONDS", 0.01)
    async with house.presence.running():
        await house.presence.enter("me", house.socket())
        house.store.error = Unavailable("unavailable", "away")
        await asyncio.sleep(0.05)
        house.store.error = None
        await until(lambda: len(house.store.sockets) > 3)
    assert set(house.store.sockets) == {1}


async def test_a_store_that_is_away_lets_nobody_be_counted(house: House) -> None:
    house.store.error = Unavailable("unavailable", "away")
    with pytest.raises(Unavailable):
        await house.presence.enter("me", house.socket())
    house.store.error = None
    await house.presence.enter("me", house.socket())
    assert house.store.sockets == [1]


async def test_every_socket_of_the_owner_is_told_of_what_is_notable(house: House) -> None:
    await house.presence.enter("me", house.socket())
    await house.presence.enter("me", house.socket())
    house.left(95)
    await asyncio.sleep(0.05)
    assert house.told == []
    house.left(80)
    await until(lambda: len(house.told) == 2)
    assert house.told[0].remaining == {"turns": 80}
    house.left(0)
    await until(lambda: len(house.told) == 4)


async def test_an_owner_without_limits_is_told_nothing() -> None:
    house = House()
    house.store.left = Standing({}, {})
    async with house.presence.running():
        assert (await house.presence.enter("me", house.socket())).remaining == {}
        house.left(5)
        await asyncio.sleep(0.05)
    assert house.told == []


@pytest.mark.parametrize(
    ("before", "now", "notable"), [(100, 95, False), (100, 89, True), (1, 0, True), (0, 1, True), (5, 5, False)]
)
def test_what_is_notable(before: int, now: int, notable: bool) -> None:
    assert is_notable(Standing({"turns": before}, {}), Standing({"turns": now}, {})) is notable
