"""A Redis Cluster of several nodes: one dies in the middle of many answers, and its replica takes its place."""

import asyncio
from pathlib import Path

import pytest

from assistant.bootstrap import open_stores, running_gateway, running_worker
from assistant.client import Client, Session
from assistant.domain.events import TurnDelta, TurnFinished, TurnStarted
from assistant.engines.scripted import ScriptedEngine
from assistant.settings import Settings
from assistant.stores import keys
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


async def test_answers_go_on_when_a_primary_dies(tmp_path: Path) -> None:
    with clusters.running(tmp_path / "cluster") as cluster:
        settings, engine = Settings(data=tmp_path, port=0), ScriptedEngine(delay_ms=50, tokens=40)
        async with (
            asyncio.timeout(90),
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
            again = [Answer(answer.session) for answer in answers]
            await asyncio.gather(*(answer.follow("and then?") for answer in again))
            assert [answer.ends for answer in again] == [["completed"]] * len(again)
