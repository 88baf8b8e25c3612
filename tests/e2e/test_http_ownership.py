"""Every route of the HTTP API, by its own table: as a stranger, with a key that may only read, and with none."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from assistant.api.routes import ROUTES, Route
from assistant.bootstrap import open_stores
from tests import pictures
from tests.e2e.http import Answer, House, Http, running

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
SECRET = "the wombat is under the stairs"  # what Ada says and nobody else may see
PLACES = re.compile(r"{(\w+)}")
OWNED = [route for route in ROUTES if PLACES.search(route.path)]
"""Routes that name something that somebody has."""
COMMON = [route for route in ROUTES if route.scope is not None and route not in OWNED]
PRIVATE = [*OWNED, *COMMON]

BODIES: dict[str, dict[str, Any]] = {
    "PATCH /v1/sessions/{session_id}": {"title": "a lie"},
    "POST /v1/sessions/{session_id}/turns": {"client_message_id": "c-eve", "text": "hello"},
    "POST /v1/sessions/{session_id}/messages/{message_id}/regenerate": {"client_message_id": "c-again"},
}
"""What a route's body has to have; without it, it would be refused for its form, which would prove nothing."""
QUERIES = {"GET /v1/sessions/{session_id}/export": "?format=json"}


@dataclass(frozen=True)
class Things:
    """What Ada has, by the names of places in paths."""

    session_id: str
    turn_id: str
    image_id: str
    message_id: str


NOBODYS = Things("s_none", "t_none", "i_none", "m_none")


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


async def ask(client: Http, route: Route, things: Things) -> Answer:
    """Ask for something with all that it takes."""
    path = PLACES.sub(lambda found: str(getattr(things, found[1])), route.path)
    more: dict[str, Any] = {}
    if route.takes is not None:
        more = {"data": pictures.jpeg(), "headers": {"Content-Type": "image/jpeg"}}
    return await client.ask(route.method, path + QUERIES.get(name(route), ""), BODIES.get(name(route)), **more)


async def settle(client: Http) -> Things:
    """Let Ada have a conversation with a picture."""
    image = (await client.upload(pictures.jpeg())).json["image_id"]
    session = await client.begin()
    turn = (await client.say(session, SECRET, images=[image])).json
    await client.events(session)
    return Things(session, turn["turn_id"], image, turn["message_id"])


async def everything(house: House, ada: Things) -> str:
    entries = await house.stores.conversations.read(ada.session_id, 0)
    return json.dumps([[entry.json for entry in entries], str(await house.stores.pictures.get("ada", ada.image_id))])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One for all tests here: each has things of its own in it."""
    async with open_stores(redis_url, tmp_path_factory.mktemp("pictures")) as stores, running(stores) as house:
        yield house


async def test_a_stranger_finds_nothing_of_another_owner(house: House) -> None:
    async with house.client("ada") as owner, house.client("eve") as eve:
        ada = await settle(owner)
        before = await everything(house, ada)
        assert SECRET in before
        for route in OWNED:
            found, none = await ask(eve, route, ada), await ask(eve, route, NOBODYS)
            assert found.status == 404, name(route)
            assert found.code.endswith("_not_found")
            assert found.data == none.data, f"{name(route)} tells what is another's from what is not"
            assert await everything(house, ada) == before, f"{name(route)} changed what Ada has"
        for route in COMMON:
            answer = await ask(eve, route, ada)
            assert answer.status in (200, 201), name(route)
            for mine in (SECRET, *vars_of(ada)):
                assert mine not in answer.data.decode(), name(route)
        assert await everything(house, ada) == before


async def test_things_of_two_owners_do_not_mix(house: House) -> None:
    """Ada's pictures, messages and turns in a conversation of Eve's own."""
    async with house.client("ada") as owner, house.client("eve") as eve:
        ada = await settle(owner)
        own = await eve.begin()
        for fields in ({"images": [ada.image_id]}, {"parent": ada.message_id}):
            assert (await eve.say(own, "hello", "c-eve", **fields)).status == 404
        mixed = Things(own, ada.turn_id, ada.image_id, ada.message_id)
        for route in OWNED:
            for kind in ("turn", "message"):
                if f"{{{kind}_id}}" in route.path:
                    answer = await ask(eve, route, mixed)
                    assert (answer.status, answer.code) == (404, f"{kind}_not_found"), name(route)


async def test_the_owner_gets_what_a_stranger_does_not(house: House) -> None:
    """So that the tests above do not pass because nothing is ever found. Streams have tests of their own."""
    async with house.client("bob") as owner:
        ada = await settle(owner)
        for route in sorted(OWNED, key=lambda route: route.method == "DELETE"):
            if "text/event-stream" not in route.gives:
                assert (await ask(owner, route, ada)).status == route.status, name(route)


async def test_a_key_that_may_read_changes_nothing(house: House) -> None:
    async with house.client("ada") as owner, house.client("ada", "read") as reader:
        ada = await settle(owner)
        before = await everything(house, ada)
        for route in PRIVATE:
            if route.scope == "chat":
                answer = await ask(reader, route, ada)
                assert (answer.status, answer.code) == (403, "scope_missing"), name(route)
            elif "text/event-stream" not in route.gives:
                assert (await ask(reader, route, ada)).status == 200, name(route)
        assert await everything(house, ada) == before


async def test_whatever_changes_something_takes_a_key_that_may() -> None:
    assert {route.method for route in ROUTES if route.scope != "chat"} == {"GET"}
    assert {route.method for route in ROUTES if route.scope == "chat"} == {"POST", "PATCH", "DELETE"}


async def test_nobody_is_told_anything_without_a_key(house: House) -> None:
    async with house.client("ada") as owner, house.client_with(None) as nobody:
        ada = await settle(owner)
        for route in PRIVATE:
            answer = await ask(nobody, route, ada)
            assert (answer.status, answer.code) == (401, "auth_required"), name(route)


def vars_of(things: Things) -> tuple[str, ...]:
    return (things.session_id, things.turn_id, things.image_id, things.message_id)
