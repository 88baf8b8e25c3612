import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from assistant.bootstrap import load_prompts
from assistant.domain.errors import Unavailable
from assistant.domain.messages import ToolCallPart
from assistant.ports.queue import Claim, LostClaim
from assistant.service import worker as worker_module
from assistant.service.turns import TurnRunner
from assistant.service.worker import Worker
from assistant.tools import all_tools
from tests.assistant.fakes import (
    FakeConversations,
    FakeEngine,
    FakeLimits,
    FakeMemories,
    FakePictures,
    FakeQueue,
    FixedClock,
    claim,
    info,
    question,
    until,
)


class Runner(TurnRunner):
    """Runs nothing: remembers the claims, and holds each until it is freed."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.stopped: list[str] = []
        self.free = asyncio.Event()
        self.error: Exception | None = None

    async def run(self, claim: Claim) -> None:
        self.begun.append(claim.turn_id)
        try:
            if self.error is not None:
                raise self.error
            await self.free.wait()
        except asyncio.CancelledError:
            self.stopped.append(claim.turn_id)
            raise


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "CLAIM_SECONDS", 0.01)


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def runner() -> Runner:
    return Runner()


@contextlib.asynccontextmanager
async def working(queue: FakeQueue, runner: TurnRunner, slots: int = 2) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(Worker("w", info(slots=slots), queue, runner).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_runs_as_many_turns_as_the_engine_has_slots(queue: FakeQueue, runner: Runner) -> None:
    for number in range(3):
        queue.claims.put_nowait(replace(claim(), turn_id=f"t_{number}"))
    async with working(queue, runner):
        await until(lambda: len(runner.begun) == 2)
        await asyncio.sleep(0.01)
        assert queue.claims.qsize() == 1, "a turn was claimed that nobody can run"
        runner.free.set()
        await until(lambda: len(runner.begun) == 3)


@pytest.mark.parametrize("error", [LostClaim(), RuntimeError("a bug"), Unavailable("unavailable", "Redis is away.")])
async def test_a_turn_that_breaks_frees_its_slot(queue: FakeQueue, runner: Runner, error: Exception) -> None:
    runner.error = error
    for number in range(5):
        queue.claims.put_nowait(replace(claim(), turn_id=f"t_{number}"))
    async with working(queue, runner, slots=1) as task:
        await until(lambda: len(runner.begun) == 5)
        assert not task.done()


async def test_it_outlives_a_queue_that_is_away(
    queue: FakeQueue, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "PAUSE_SECONDS", 0.001)
    for item in (Unavailable("unavailable", "away"), ConnectionError(), None, None, None, claim()):
        queue.claims.put_nowait(item)
    async with working(queue, runner, slots=1):
        await until(lambda: runner.begun == ["t_1"])


@pytest.mark.parametrize("error", [None, LostClaim(), Unavailable("unavailable", "Redis is away.")])
async def test_it_stops_its_turns_and_gives_them_back_when_it_stops(
    queue: FakeQueue, runner: Runner, error: Exception | None
) -> None:
    for turn_id in ("t_1", "t_2"):
        queue.claims.put_nowait(replace(claim(), turn_id=turn_id))
    queue.release_error = error
    async with working(queue, runner) as task:
        await until(lambda: runner.begun == ["t_1", "t_2"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(runner.stopped) == ["t_1", "t_2"]
        assert sorted(queue.released) == ([] if error else [("t_1", False), ("t_2", False)])


async def test_a_turn_that_comes_while_it_stops_is_given_back(
    queue: FakeQueue, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "CLAIM_SECONDS", 5.0)
    async with working(queue, runner) as task:
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done(), "a turn that comes now would be nobody's"
        queue.claims.put_nowait(claim())
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (queue.released, runner.begun) == ([("t_1", False)], [])


@pytest.mark.parametrize("error", [LostClaim(), Unavailable("unavailable", "Redis is away.")])
async def test_what_the_store_cut_off_is_given_back_when_it_is_there_again(
    queue: FakeQueue, runner: Runner, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "PAUSE_SECONDS", 0.001)
    runner.error = error
    queue.release_error = Unavailable("unavailable", "Redis is away.")
    queue.claims.put_nowait(claim())
    async with working(queue, runner):
        await until(lambda: runner.begun == ["t_1"])
        queue.release_error = None
        await until(lambda: queue.released == [("t_1", True)])


async def test_what_a_bug_cut_off_waits_for_its_lease(queue: FakeQueue, runner: Runner) -> None:
    """Nobody could say how often it would be tried in a second."""
    runner.error = RuntimeError("a bug")
    for _ in range(2):
        queue.claims.put_nowait(claim())
    async with working(queue, runner, slots=1):
        await until(lambda: len(runner.begun) == 2)
    assert queue.released == []


async def test_what_has_ended_is_not_given_back(queue: FakeQueue, runner: Runner) -> None:
    queue.claims.put_nowait(claim())
    async with working(queue, runner) as task:
        await until(lambda: runner.begun == ["t_1"])
        runner.free.set()
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert queue.released == []


async def test_a_turn_that_breaks_does_not_log_what_the_user_said(
    queue: FakeQueue, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that an older version accepted and this one does not."""
    call = ToolCallPart(name="translate", arguments={"text": "SECRET words", "to": "xx", "older": "SECRET"})
    conversations = FakeConversations(question("", tool=call))
    prompts = load_prompts()
    tools = all_tools(prompts)
    runner = TurnRunner(
        FakeEngine(),
        conversations,
        queue,
        FakePictures(),
        FakeMemories(),
        FakeLimits(),
        tools,
        prompts,
        FixedClock(),
    )
    queue.claims.put_nowait(claim())
    with caplog.at_level(logging.DEBUG):
        async with working(queue, runner):
            await until(lambda: "t_1" in caplog.text)
    assert "SECRET" not in caplog.text
