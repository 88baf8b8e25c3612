"""Connections counted by address, on real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from assistant.gateway.addresses import Addresses, place_of
from tests.assistant.fakes import until
from tests.assistant.gateway.test_peer import Gateway


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("somewhere", "somewhere"),
    ],
)
def test_what_counts_as_one_address(address: str, place: str) -> None:
    assert place_of(address) == place


def test_counts_come_back_to_nothing() -> None:
    addresses = Addresses(2, 1)
    assert addresses.enter("a")
    assert not addresses.enter("a"), "one that nobody knows is all there may be"
    assert addresses.enter("b")
    addresses.known("a")
    assert addresses.enter("a")
    addresses.known("a")
    assert not addresses.enter("a")
    for place in ("a", "a", "b"):
        addresses.leave(place, known=place == "a")
    assert addresses.enter("a")
    assert addresses.enter("b")


@contextlib.asynccontextmanager
async def gateway(*most: int) -> AsyncIterator[Gateway]:
    async with Gateway(addresses=Addresses(*most)).running() as running:
        yield running


async def test_too_many_of_one_address_are_turned_away_and_others_served() -> None:
    async with gateway(2, 0) as house, house.client() as first, house.client():
        with pytest.raises(InvalidStatus) as refused:
            async with house.client():
                pass
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["Retry-After"] == "5"
        url = f"ws://127.0.0.1:{house.port}/v1/ws"
        async with connect(url, local_addr=("127.0.0.2", 0), subprotocols=["assistant.v1"]) as elsewhere:  # type: ignore[list-item]
            assert "hello" in str(await elsewhere.recv())
        assert (await house.get("/healthz"))[0] == 429
        await first.socket.close()

        async def served() -> bool:
            return (await house.get("/healthz"))[0] == 200

        async with asyncio.timeout(10):
            while not await served():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_those_that_authenticate_make_room_for_others_that_have_not() -> None:
    async with gateway(0, 2) as house, house.client(), house.client(), house.client(auth=False) as mute:
        async with house.client(auth=False) as second:
            with pytest.raises(InvalidStatus):
                async with house.client():
                    pass
            assert (await second.command("auth"))["type"] == "ack"
        async with house.client() as third:
            assert (await third.command("ping"))["type"] == "pong"
        assert (await mute.command("auth"))["type"] == "ack"


async def test_a_connection_that_says_nothing_is_cut_off_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.gateway.addresses.REFUSE_SECONDS", 0.05)
    async with gateway(1, 0) as house, house.client():
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        ended: Any = await asyncio.wait_for(asyncio.gather(reader.read(), return_exceptions=True), 10)
        assert ended == [b""] or isinstance(ended[0], ConnectionResetError)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_connections_that_break_are_forgotten() -> None:
    addresses = Addresses(50, 50)
    async with Gateway(addresses=addresses).running() as house:
        for _ in range(3):
            writers = [(await asyncio.open_connection("127.0.0.1", house.port))[1] for _ in range(30)]
            for writer in writers:
                writer.write(b"no http at all\r\n\r\n")
                writer.transport.abort()
            await until(lambda: addresses.enter("probe") and not addresses._all["127.0.0.1"])
