"""Workers and gateways are restarted one after another, as an update does, while clients talk: nobody notices."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from assistant.client import Client
from assistant.domain.events import MessageCreated, TurnDelta, TurnFinished, TurnStarted
from assistant.engines.scripted import ScriptedEngine
from assistant.ports.engine import EngineMessage, EngineRequest, Token
from tests import servers
from tests.conftest import Server, Start, stop

pytestmark = pytest.mark.e2e
CLIENTS = 6
LONGEST_SILENCE = 10.0
"""Of a turn that goes on, in seconds; one whose worker went without a word is silent for its lease, 15 s."""
WORKER = ("worker", "--engine", "scripted", "--scripted-delay-ms", "30")


class Balancer:
    """Connects each client to the next gateway that takes it, as any load balancer does.

    Attributes:
        ports: of the gateways.
        accepted: connections so far.
    """

    def __init__(self) -> None:
        self.ports: list[int] = []
        self.accepted = 0
        self._turn = itertools.count()
        self._open: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()[1]
        server.close()
        for writer in self._open:
            writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        for _ in range(2 * len(self.ports)):
            port = self.ports[next(self._turn) % len(self.ports)]
            with contextlib.suppress(OSError):
                behind, before = await asyncio.open_connection("127.0.0.1", port)
                self.accepted += 1
                await asyncio.gather(_pump(reader, before), _pump(behind, writer))
                break
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Talk:
    """One client that asks until it is told to stop.

    Attributes:
        attempts: of all turns, as they started.
        silence: longest time without an event of a turn that runs.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.attempts: list[int] = []
        self.questions = 0
        self.silence = 0.0

    async def run(self, url: str, enough: Callable[[], bool]) -> None:
        async with Client(url) as client:
            session = await client.open()
            while not enough():
                self.questions += 1
                question = f"{self._name} asks {self.questions}"
                text, ends, answers, last = "", 0, [], time.monotonic()
                async for event in session.ask(question):
                    self.silence = max(self.silence, time.monotonic() - last)
                    last = time.monotonic()
                    match event:
                        case TurnStarted():
                            assert not event.restart
                            self.attempts.append(event.attempt)
                        case TurnDelta():
                            text += event.text
                        case MessageCreated() if event.message.role == "assistant":
                            answers.append(event.message.text)
                        case TurnFinished():
                            ends += 1
                assert (answers, ends) == ([text], 1)
                assert text.encode() == (await _said(question)).encode()
            texts = [message.text for message in session.messages if message.role == "user"]
            assert texts == [f"{self._name} asks {number + 1}" for number in range(self.questions)]


async def _said(question: str) -> str:
    """What the script says when nothing happens."""
    engine = ScriptedEngine(delay_ms=0)
    request = EngineRequest((EngineMessage("user", question),))
    return "".join([event.text async for event in engine.generate(request) if isinstance(event, Token)])


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with servers.running(tmp_path, "debian") as url:
        yield url


async def test_a_rolling_restart_loses_nothing_repeats_nothing_and_waits_for_no_lease(
    redis_url: str, start: Start
) -> None:
    shared = ("--redis-url", redis_url)

    def worker() -> Server:
        return start(*WORKER, *shared, ready="worker ready")

    def gateway() -> Server:
        return start("gateway", *shared)

    started = await asyncio.gather(*map(asyncio.to_thread, (worker, worker, gateway, gateway)))
    workers, gateways = started[:2], started[2:]
    balancer, over = Balancer(), asyncio.Event()
    balancer.ports = [server.port for server in gateways]
    talks = [Talk(f"client {number}") for number in range(CLIENTS)]

    async def restart() -> None:
        for old in workers:
            await _next_answers(talks)
            await asyncio.to_thread(stop, old.process)
            await asyncio.to_thread(worker)
        for place, old in enumerate(gateways):
            await _next_answers(talks)
            await asyncio.to_thread(stop, old.process)
            balancer.ports[place] = (await asyncio.to_thread(gateway)).port

    async with asyncio.timeout(100), balancer.listening() as port:
        url = f"ws://127.0.0.1:{port}/v1/ws"
        talking = [asyncio.create_task(talk.run(url, over.is_set)) for talk in talks]
        try:
            await _first_of(restart(), *talking)
            over.set()
            await asyncio.gather(*talking)
        finally:
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)
    assert max(attempt for talk in talks for attempt in talk.attempts) > 1, "no turn was given back"
    assert balancer.accepted >= 2 * CLIENTS, "a client was not thrown out by its gateway"
    assert max(talk.silence for talk in talks) < LONGEST_SILENCE


async def _first_of(work: Awaitable[None], *others: "asyncio.Task[None]") -> None:
    """Do the work; what goes wrong meanwhile in another task is raised at once."""
    working = asyncio.ensure_future(work)
    await asyncio.wait((working, *others), return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        if task.done():
            working.cancel()
            task.result()
    await working


async def _next_answers(talks: list[Talk]) -> None:
    """Wait until every client is in another turn than now: all are at it again."""
    before = [len(talk.attempts) for talk in talks]
    while any(len(talk.attempts) <= count for talk, count in zip(talks, before, strict=True)):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_an_assistant_that_is_restarted_goes_on_where_it_was(start: Start, tmp_path: Path) -> None:
    """The one worker and its private Redis stop together."""
    arguments = ("serve", "--engine", "scripted", "--scripted-delay-ms", "200", "--data", str(tmp_path))
    server = start(*arguments)
    port = server.port
    async with asyncio.timeout(60), Client(server.socket_url) as client:
        session = await client.open()
        text, started = "", []
        async for event in session.ask("a long story"):
            if isinstance(event, TurnStarted):
                started.append((event.attempt, event.restart))
            if isinstance(event, TurnDelta):
                text += event.text
                if server.process.poll() is None:
                    await asyncio.to_thread(stop, server.process)
                    await asyncio.to_thread(start, *arguments, "--port", str(port))
        assert started == [(1, False), (2, False)]
        assert text.encode() == session.messages[-1].text.encode() == (await _said("a long story")).encode()
