"""A Redis Cluster of several nodes: one dies in the middle of many answers, and its replica takes its place."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assistant.bootstrap import Stores, open_stores, running_worker
from assistant.client import Client, Session
from assistant.domain.errors import NotFound, Unavailable
from assistant.domain.events import TurnDelta, TurnFinished, TurnStarted
from assistant.engines.scripted import ScriptedEngine
from assistant.ports.conversations import Bell
from assistant.servers import running_gateway
from assistant.settings import Settings
from assistant.stores import keys
from assistant.stores.bells import Bells
from assistant.stores.connection import open_client
from tests import clusters

pytestmark = pytest.mark.e2e


class Answer:
    """What a client saw of one turn.

    Attributes:
        text: since the answer began (again).
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.text = ""
        self.restarts: list[bool] = []
        self.ends: list[str] = []
        self.begun = asyncio.Event()

    async def follow(self, question: str) -> None:
        async for event in self.session.ask(question):
            match event:
                case TurnStarted():
                    self.restarts.append(bool(event.restart))
                    self.text = "" if event.restart else self.text
                case TurnDelta():
                    self.text += event.text
                    self.begun.set()
                case TurnFinished():
                    self.ends.append(event.status)


async def sessions_on_all_nodes(client: Client, cluster: clusters.Cluster) -> list[Session]:
    """Conversations, two on each primary."""
    found: dict[clusters.Node, list[Session]] = {}
    while sum(map(len, found.values())) < 2 * clusters.PRIMARIES:
        session = await client.open()
        on_node = found.setdefault(cluster.primary_of(keys.meta(session.session_id)), [])
        if len(on_node) < 2:
            on_node.append(session)
        else:
            await client.close(session)
    return [session for on_node in found.values() for session in on_node]


@contextlib.asynccontextmanager
async def listening_on(cluster: clusters.Cluster, node: clusters.Node) -> AsyncIterator[Bell]:
    """A bell on a node, which has rung, of a client that does nothing else and so notices no change by itself."""
    channel = next(name for name in map(str, itertools.count()) if cluster.primary_of(name) is node)
    client = await open_client(cluster.url)
    bells = Bells(client)
    try:
        async with bells.watch(channel) as bell:
            with contextlib.suppress(TimeoutError):
                while True:  # as every bell does at first, and when it is subscribed
                    await asyncio.wait_for(bell.wait(), 0.2)
            yield bell
    finally:
        await bells.close()
        await client.aclose()


async def look_for_a_picture(stores: Stores, cluster: clusters.Cluster, node: clusters.Node) -> None:
    """Ask a node for a picture until it answers, by stores that send it nothing but pipelines."""
    owner = next(name for name in map(str, itertools.count()) if cluster.primary_of(keys.image(name, "i")) is node)
    while True:
        try:
            await stores.pictures.get(owner, "i")
        except NotFound:
            return
        except Unavailable:
            await asyncio.sleep(0.1)


async def test_answers_go_on_when_a_primary_dies(tmp_path: Path) -> None:
    with clusters.running(tmp_path / "cluster") as cluster:
        settings, engine = Settings(data=tmp_path, port=0), ScriptedEngine(delay_ms=50, tokens=40)
        async with (
            asyncio.timeout(60),
            contextlib.AsyncExitStack() as idle,
            open_stores(cluster.url, None) as stores,
            open_stores(cluster.url, None) as elsewhere,
            running_worker(engine, elsewhere),
            running_gateway(settings, stores) as url,
            Client(url.replace("http", "ws", 1) + "/v1/ws") as client,
        ):
            answers = [Answer(session) for session in await sessions_on_all_nodes(client, cluster)]
            asking = [asyncio.create_task(answer.follow("a long story")) for answer in answers]
            await asyncio.gather(*(answer.begun.wait() for answer in answers))
            dead = cluster.primary_of(keys.JOBS)  # nothing is claimed or ended without it
            reader = await idle.enter_async_context(open_stores(cluster.url, None))
            bell = await idle.enter_async_context(listening_on(cluster, dead))
            await asyncio.to_thread(cluster.replicated, dead)
            dead.kill()
            await asyncio.gather(*asking)
            for answer in answers:
                lost = cluster.primary_of(keys.meta(answer.session.session_id)) is dead
                assert any(answer.restarts) == lost
                record = await elsewhere.conversations.record("anonymous", answer.session.session_id)
                messages = [placed.event.message for placed in record.events if placed.event.type == "message.created"]
                assert [message.role for message in messages] == ["user", "assistant"]
                assert (answer.ends, answer.text) == (["completed"], messages[-1].text)
            await bell.wait()  # it rings when it listens again
            await look_for_a_picture(reader, cluster, dead)
            again = [Answer(answer.session) for answer in answers]
            await asyncio.gather(*(answer.follow("and then?") for answer in again))
            assert [answer.ends for answer in again] == [["completed"]] * len(again)
