"""The model's process of ``assistant serve``, and that of the gateway: each is killed in its turn."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import Server, Start, child
from tests.e2e.raw import Raw

pytestmark = pytest.mark.e2e
SLOWLY = ("serve", "--engine", "scripted", "--scripted-delay-ms", "60")
SOON = 10.0


async def test_an_answer_outlives_its_worker_and_its_socket_does(start: Start) -> None:
    server = start(*SLOWLY)
    async with asyncio.timeout(60), Raw(server.socket_url) as client:
        await _asked(client)
        before = server.worker
        before.kill()
        finished = await client.until("turn.finished")  # on the same socket, when the lease is over
        assert finished["status"] == "completed"
        started = [event for event in client.events if event["type"] == "turn.started"]
        assert [(event["attempt"], event["restart"]) for event in started] == [(1, False), (2, False)]
        text = "".join(event["text"] for event in client.events if event["type"] == "turn.delta")
        messages = [event["message"] for event in client.events if event["type"] == "message.created"]
        assert text == messages[-1]["parts"][0]["text"]
        assert server.worker.pid != before.pid


async def test_a_worker_ends_with_a_parent_that_is_killed(start: Start) -> None:
    """In the middle of an answer, and though Redis goes at the same moment."""
    server = start(*SLOWLY)
    async with asyncio.timeout(60), Raw(server.socket_url) as client:
        await _asked(client)
        worker, redis = server.worker, server.redis
        server.process.kill()
        await asyncio.to_thread(worker.wait, SOON)
        await asyncio.to_thread(redis.wait, SOON)


async def _asked(client: Raw) -> None:
    """Have it in the middle of an answer."""
    session = (await client.command("session.open"))["session_id"]
    await client.command("turn.submit", session_id=session, client_message_id="c-1", text="a long story")
    await client.until("turn.delta")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children hear SIGINT, also where it was ignored when this process began, as in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_worker_that_still_loads_ends_with_its_parent(
    assistant_command: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    with subprocess.Popen([*assistant_command, "serve", "--port", "0", "--data", str(tmp_path)]) as process:
        worker = _that_loads(process.pid)
        os.kill(process.pid, number)
        assert process.wait(SOON) in (-number, 130)
        worker.wait(SOON)


def _that_loads(parent: int) -> psutil.Process:
    """The worker of an assistant that is being started, when it has begun to load the model."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(StopIteration):
            worker = child(parent, "-m assistant.worker")
            if _has_loaded(worker.pid, "libtorch"):
                return worker
        time.sleep(0.01)
    raise AssertionError("nothing is loaded")


def _has_loaded(pid: int, library: str) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


def test_only_the_worker_has_loaded_the_model(model_server: Server) -> None:
    loaded = [_has_loaded(pid, "libtorch") for pid in (model_server.process.pid, model_server.worker.pid)]
    assert loaded == [False, True]
