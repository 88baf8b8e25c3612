"""Whatever drops, what a client has is byte for byte what was said, and a message sent at once by many is one turn."""

import pytest

from tests.conftest import Server, Start
from tests.faults.drops import run, submit_at_once

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server(start_session: Start) -> Server:
    return start_session("serve", "--engine", "scripted", "--scripted-delay-ms", "20")


async def test_a_hundred_drops_in_the_middle_of_answers(server: Server) -> None:
    seen = await run(server.socket_url, drops=100)
    assert sorted(seen.events) == list(range(1, len(seen.events) + 1))
    assert len(seen.texts()) > 3
    for joined, message in seen.texts().values():
        assert joined.encode() == message.encode()


async def test_fifty_at_once_are_one_turn(server: Server) -> None:
    turns, roles = await submit_at_once(server.socket_url, 50)
    assert len(turns) == 1
    assert roles == ["user", "assistant"]
