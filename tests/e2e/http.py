"""A running HTTP API with its worker and store, and clients of it."""

import contextlib
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from assistant.bootstrap import Stores, make_engine, running_worker
from assistant.clock import SystemClock
from assistant.domain.access import Scope
from assistant.servers import running_api
from assistant.service.keys import Keys
from assistant.settings import Settings

MOST_TIME = aiohttp.ClientTimeout(total=30)
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    headers: Any
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def code(self) -> str:
        """Of a problem; it is one."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        told = self.json
        assert told["status"] == self.status
        assert told["title"]
        assert told["detail"].endswith("."), told
        return str(told["code"])


@dataclass(frozen=True)
class House:
    """The API's URL, and the stores under it."""

    url: str
    stores: Stores

    async def key(self, owner: str, *scopes: Scope) -> str:
        """A new key."""
        key, _ = await Keys(self.stores.keys, SystemClock()).create(owner, owner, scopes or ("chat",), None)
        return key

    @contextlib.asynccontextmanager
    async def client(self, owner: str, *scopes: Scope) -> AsyncIterator["Http"]:
        """Somebody with a key of this owner."""
        async with self.client_with(await self.key(owner, *scopes)) as client:
            yield client

    @contextlib.asynccontextmanager
    async def client_with(self, key: str | None) -> AsyncIterator["Http"]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with aiohttp.ClientSession(self.url, headers=headers, timeout=MOST_TIME) as session:
            yield Http(session)


class Http:
    """A client."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """Send a request; ``body`` is JSON."""
        if body is not None:
            more = {"data": json.dumps(body), **more, "headers": JSON | more.get("headers", {})}
        if isinstance(more.get("data"), str | bytes):  # large bytes would be a warning
            data = more["data"]
            more["data"] = io.BytesIO(data.encode() if isinstance(data, str) else data)
        async with self.session.request(method, path, **more) as response:
            return Answer(response.status, response.headers, await response.read())

    async def begin(self) -> str:
        """A new conversation."""
        answer = await self.ask("POST", "/v1/sessions")
        assert answer.status == 201, answer
        return str(answer.json["session_id"])

    async def upload(self, data: bytes) -> Answer:
        return await self.ask("POST", "/v1/images", data=data, headers={"Content-Type": "image/jpeg"})

    async def say(self, session: str, text: str, client_message_id: str = "c-1", **fields: Any) -> Answer:
        """Submit a turn."""
        body = {"client_message_id": client_message_id, "text": text, **fields}
        return await self.ask("POST", f"/v1/sessions/{session}/turns", body)

    async def events(
        self, session: str, after: str | None = None, *, until: str = "turn.finished", most: int = 10**6
    ) -> list[tuple[str, dict[str, Any]]]:
        """Events with their ids, up to one of a type, or to so many; then the connection is cut."""
        headers = {} if after is None else {"Last-Event-ID": after}
        found: list[tuple[str, dict[str, Any]]] = []
        async with self.session.get(f"/v1/sessions/{session}/events", headers=headers) as response:
            assert response.status == 200, await response.read()
            assert response.content_type == "text/event-stream"
            place = ""
            async for line in response.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    place = value
                elif name == "data":
                    found.append((place, json.loads(value)))
                    if found[-1][1]["type"] == until or len(found) >= most:
                        break
        return found


@contextlib.asynccontextmanager
async def running(stores: Stores, *, delay_ms: float = 1.0, **settings: Any) -> AsyncIterator[House]:
    """The API, and a worker with the script, on these stores."""
    chosen = Settings(
        **{"api_port": 0, "engine": "scripted", "scripted_delay_ms": delay_ms, "anonymous": "never", **settings}
    )
    async with running_worker(make_engine(chosen, print), stores), running_api(chosen, stores) as url:
        yield House(url, stores)
