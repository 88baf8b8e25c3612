"""One owner at the things of another: every command and every route, on a real gateway, worker and store.

What is tried is listed by command and by route; one that the gateway has and that is not listed here fails this test,
so that whoever adds one says how a stranger would misuse it.
"""

import asyncio
import contextlib
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID, uuid4

import pytest

from assistant.bootstrap import Stores, make_engine, running_worker
from assistant.clock import SystemClock
from assistant.domain.access import SCOPES
from assistant.gateway.assets import Assets
from assistant.gateway.auth import Authenticator
from assistant.gateway.http import HttpRequests
from assistant.gateway.wire import commands, reading
from assistant.gateway.wire.commands import Command
from assistant.gateway.wire.reading import Chunk
from assistant.servers import running_gateway
from assistant.service.keys import Keys
from assistant.settings import Settings
from tests import pictures
from tests.assistant.fakes import FakeHealth, FakeKeys, FakePictures
from tests.e2e.raw import Raw

pytestmark = pytest.mark.e2e
SECRET = "the wombat is under the stairs"  # what Ada says and nobody else may see
SOURCE = pictures.jpeg()
SHA256 = hashlib.sha256(SOURCE).hexdigest()


@dataclass(frozen=True)
class Things:
    """What Ada has."""

    session: str
    turn: str
    message: str
    image: str
    memory: str
    upload: str


Attempt = Callable[[Things], dict[str, Any]]

NOTHING_OF_ANYBODY = None
"""The command names nothing that somebody could own."""

ATTEMPTS: dict[str, list[Attempt] | None] = {
    "auth": NOTHING_OF_ANYBODY,
    "ping": NOTHING_OF_ANYBODY,
    "session.open": [
        lambda ada: {"session_id": ada.session},
        lambda ada: {"session_id": ada.session, "cursor": {"epoch": "e_wrong", "seq": 0}},
    ],
    "session.list": [lambda _: {}],
    "session.rename": [lambda ada: {"session_id": ada.session, "title": "a lie"}],
    "session.delete": [lambda ada: {"session_id": ada.session}],
    "session.export": [
        lambda ada: {"session_id": ada.session, "format": "json"},
        lambda ada: {"session_id": ada.session, "format": "markdown", "part": f"0-{'0' * 32}"},
    ],
    "session.close": [lambda ada: {"session_id": ada.session}],
    "turn.regenerate": [
        lambda ada: {"session_id": ada.session, "message_id": ada.message, "client_message_id": "c-eve-3"},
        lambda ada: {"session_id": "OWN", "message_id": ada.message, "client_message_id": "c-eve-4"},
    ],
    "turn.submit": [
        lambda ada: {"session_id": "OWN", "client_message_id": "c-eve-5", "text": "hello", "parent": ada.message},
        lambda ada: {"session_id": ada.session, "client_message_id": "c-1", "text": SECRET},
        lambda ada: {"session_id": ada.session, "client_message_id": "c-eve", "text": "hello"},
        lambda ada: {"session_id": "OWN", "client_message_id": "c-eve", "text": "hello", "images": [ada.image]},
        lambda ada: {
            "session_id": "OWN",
            "client_message_id": "c-eve-2",
            "tool": {"name": "caption", "arguments": {"images": [ada.image]}},
        },
    ],
    "turn.cancel": [lambda ada: {"turn_id": ada.turn}],
    "image.begin": [
        # That somebody has sent the same picture is not told: Eve has to send it all the same.
        lambda _: {"upload_id": str(uuid4()), "sha256": SHA256, "bytes": len(SOURCE)},
    ],
    "image.end": [lambda ada: {"upload_id": ada.upload}],
    "memory.add": [lambda ada: {"image_id": ada.image, "text": "a lie"}],
    "memory.list": [lambda _: {}],
    "memory.remove": [lambda ada: {"memory": ada.memory}, lambda _: {"memory": SECRET}],
}

ACKNOWLEDGED = {
    "image.begin": {"offset"},
    "memory.list": {"memories"},
    "session.list": {"sessions"},
    "session.close": set(),
}
"""Commands that are answered all the same, and what the answer has beside its type and id: nothing of Ada's."""

ROUTES: dict[str, Callable[[Things], list[str]] | None] = {
    "/healthz": NOTHING_OF_ANYBODY,
    "/v1/ws": NOTHING_OF_ANYBODY,
    "/v1/login": NOTHING_OF_ANYBODY,
    "/v1/logout": NOTHING_OF_ANYBODY,
    "/v1/images/": lambda ada: [
        f"/v1/images/{ada.image}",
        f"/v1/images/{ada.image}?session={ada.session}",
        f"/v1/images/{ada.image.replace('_', '%5F')}",
        f"/v1/images/../images/{ada.image}",
    ],
}


def command_types() -> dict[str, type[Command]]:
    """Every command of the wire, by its name."""
    return {kind.model_fields["type"].annotation.__args__[0]: kind for kind in _flat(commands.AnyCommand)}  # type: ignore[union-attr]


def _flat(annotation: Any) -> Iterator[type[Command]]:
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _flat(part)
    else:
        yield annotation


def test_every_command_is_tried() -> None:
    assert set(ATTEMPTS) == set(command_types()), "say in ATTEMPTS how a stranger would misuse a new command"


def test_what_is_tried_is_a_command() -> None:
    """A typo would be refused for its form, and prove nothing."""
    ada = Things("s_1", "t_1", "m_1", "i_1", "k_1", str(uuid4()))
    for name, attempts in ATTEMPTS.items():
        for attempt in attempts or []:
            reading.parse_command(json.dumps({"type": name, "id": "1", **attempt(ada)}))


def test_every_route_is_tried() -> None:
    clock = SystemClock()
    door = Authenticator(FakeKeys(), clock)
    requests = HttpRequests(Assets(Path("/nowhere")), FakePictures(), FakeHealth(), clock, door)
    assert set(ROUTES) == set(requests.routes), "say in ROUTES how a stranger would misuse a new route"


class House:
    """A running service with the things of Ada, and keys of Ada and Eve."""

    def __init__(self, url: str, stores: Stores, ada: str, eve: str) -> None:
        self.url = url
        self.socket_url = f"{url.replace('http', 'ws', 1)}/v1/ws"
        self.stores = stores
        self.keys = {"ada": ada, "eve": eve}

    @contextlib.asynccontextmanager
    async def client(self, owner: str) -> AsyncIterator[Raw]:
        async with Raw(self.socket_url, authenticate=False) as client:
            assert (await client.command("auth", token=self.keys[owner]))["owner"] == owner
            yield client

    async def everything(self, ada: Things) -> str:
        """All that Ada has, as she sees it."""
        entries = [entry.json for entry in await self.stores.conversations.read(ada.session, 0)]
        memories = [memory.to_json() for memory in await self.stores.memories.memories("ada")]
        return json.dumps([entries, memories, str(await self.stores.pictures.get("ada", ada.image))])


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    settings = Settings(port=0, engine="scripted", scripted_delay_ms=1.0, anonymous="never")
    keys = Keys(stores.keys, SystemClock())
    made = [(await keys.create(owner, owner, SCOPES, None))[0] for owner in ("ada", "eve")]
    engine = make_engine(settings, print)
    async with running_worker(engine, stores), running_gateway(settings, stores) as url:
        yield House(url, stores, *made)


async def settle(client: Raw) -> Things:
    """Let Ada have a conversation with a picture, a memory, and an upload that is under way."""
    begun = await client.command("image.begin", upload_id=str(uuid4()), sha256=SHA256, bytes=len(SOURCE))
    assert begun["type"] == "ack"
    upload_id = str(uuid4())
    await client.command("image.begin", upload_id=upload_id, sha256=SHA256, bytes=len(SOURCE))
    await client.socket.send(Chunk.pack(UUID(upload_id), 0, SOURCE))
    image = (await client.command("image.end", upload_id=upload_id))["image_id"]
    memory = (await client.command("memory.add", image_id=image, text=SECRET))["memory"]["memory_id"]
    session = (await client.command("session.open"))["session_id"]
    sent = {"session_id": session, "client_message_id": "c-1", "text": SECRET, "images": [image]}
    turn = await client.command("turn.submit", **sent)
    await client.until("turn.finished")
    under_way = str(uuid4())
    other = pictures.jpeg() + b"\0"
    await client.command("image.begin", upload_id=under_way, sha256=hashlib.sha256(other).hexdigest(), bytes=len(other))
    await client.socket.send(Chunk.pack(UUID(under_way), 0, other))
    return Things(session, turn["turn_id"], turn["message_id"], image, memory, under_way)


async def test_no_command_reaches_what_another_owner_has(house: House) -> None:
    async with asyncio.timeout(120), house.client("ada") as owner, house.client("eve") as eve:
        ada = await settle(owner)
        before = await house.everything(ada)
        assert SECRET in before
        own = (await eve.command("session.open"))["session_id"]
        answers = []
        for name, attempts in ATTEMPTS.items():
            for attempt in attempts or []:
                fields = {field: own if value == "OWN" else value for field, value in attempt(ada).items()}
                answer = await eve.command(name, **fields)
                answers.append(answer)
                if name in ACKNOWLEDGED:
                    assert set(answer) == {"type", "id", *ACKNOWLEDGED[name]}, (name, fields, answer)
                else:
                    assert answer["type"] == "error", (name, fields, answer)
                    assert answer["code"].endswith(("_not_found", "_unknown")), (name, fields, answer)
                assert await house.everything(ada) == before, f"{name} changed what Ada has"
        await eve.command("turn.submit", session_id=own, client_message_id="c-last", text="What do you know of others?")
        await eve.until("turn.finished")
        told = json.dumps([answers, eve.events])
        for mine in (SECRET, ada.session, ada.turn, ada.message, ada.image, ada.memory):
            assert mine not in told
        # The owner still has it all, and can go on.
        assert (await owner.command("memory.list"))["memories"][0]["text"] == SECRET
        assert (await owner.command("image.end", upload_id=ada.upload))["type"] == "ack"
        async with house.client("ada") as again:
            assert (await again.command("session.open", session_id=ada.session))["type"] == "ack"


async def test_a_stranger_cannot_tell_what_is_another_s_from_what_is_not(house: House) -> None:
    """The answers about Ada's things are those about things that nobody has."""
    nobody = Things("s_none", "t_none", "m_none", "i_none", "k_none", str(uuid4()))
    async with asyncio.timeout(120), house.client("ada") as owner, house.client("eve") as eve:
        ada = await settle(owner)
        for name, attempts in ATTEMPTS.items():
            for attempt in attempts or []:
                pair = []
                for things in (ada, nobody):
                    fields = {field: "s_eve" if value == "OWN" else value for field, value in attempt(things).items()}
                    answer = await eve.command(name, **fields)
                    pair.append({key: value for key, value in answer.items() if key not in ("id", "command_id")})
                assert pair[0] == pair[1], name


async def test_no_route_reaches_what_another_owner_has(house: House) -> None:
    async with asyncio.timeout(120), house.client("ada") as owner:
        ada = await settle(owner)
    port = house.url.rsplit(":", 1)[1]
    assert await asyncio.to_thread(_get, f"{house.url}/v1/images/{ada.image}", _bearer(house.keys["ada"])) != b""
    for paths in ROUTES.values():
        for path in paths(ada) if paths else []:
            for headers in (
                {},
                _bearer(house.keys["eve"]),
                {"Cookie": f"assistant-{port}={house.keys['eve']}"},
                {"Cookie": f"assistant-{port}={house.keys['ada'][:-1]}"},
                _bearer(house.keys["eve"]) | {"Cookie": f"assistant-{port}={house.keys['ada']}x"},
            ):
                assert await asyncio.to_thread(_get, f"{house.url}{path}", headers) == b"", path


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _get(url: str, headers: dict[str, str]) -> bytes:
    """The body of a success; nothing where it is not found."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:  # noqa: S310
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 404:
            raise
        return b""
