"""Many and slow clients: the short form of ``make crowd``, which measures; here bounds are wide."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from benchmarks import crowd

pytestmark = pytest.mark.e2e


@pytest.fixture
async def house() -> AsyncIterator[crowd.House]:
    crowd.raise_open_files()
    async with crowd.running(5.0, *crowd.NO_LIMITS) as house:
        yield house


async def test_idle_connections_take_little_and_do_not_grow(house: crowd.House) -> None:
    found = await crowd.idle(house, 500, 3.0)
    sizes = [size / crowd.KIB for size in found.each]
    assert max(sizes) < 32, sizes
    assert sizes[-1] - sizes[1] < 2, sizes


async def test_everybody_comes_back_at_once_and_nobody_is_lost(house: crowd.House) -> None:
    found = await crowd.storm(house, 400)
    assert found.outcomes == {"served": 400}
    assert await _nobody_is_left(house)


async def test_a_flood_beyond_the_limits_is_refused_and_nobody_is_lost() -> None:
    crowd.raise_open_files()
    limits = [limit for limit in crowd.NO_LIMITS if "sockets" not in limit]
    async with crowd.running(5.0, *limits, "--sockets-per-address=30", "--sockets-per-owner=100") as house:
        found = await crowd.storm(house, 400)
        assert found.outcomes["lost"] == found.outcomes["unexplained"] == 0
        assert found.outcomes["refused"] > 0
        assert 0 < found.outcomes["served"] <= 100
        assert await _nobody_is_left(house)


async def test_clients_that_do_not_read_are_let_go_and_take_little(house: crowd.House) -> None:
    found = await crowd.slow(house, 10, 3, 2.0, patience=120.0)
    assert found.gone == 10
    assert found.memory < 50 * crowd.MIB, f"{found.memory / crowd.MIB:.0f} MiB"


async def _nobody_is_left(house: crowd.House) -> bool:
    """Whether the gateway comes to hold no connection."""
    for _ in range(100):
        if await house.sockets() == 0:
            return True
        await asyncio.sleep(0.1)
    return False
