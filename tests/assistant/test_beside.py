"""A worker's process: told what to do, heard, started again, and ended. Here a small program stands for it."""

import asyncio
import contextlib
import json
import logging
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assistant import beside
from assistant.domain.errors import Unavailable
from assistant.settings import Settings

READY = 'print(\'{"say": "soon"}\'); print(\'{"ready": "a worker"}\', flush=True)'
LISTENING = """
import json, signal, sys, time
told = json.loads(sys.stdin.readline())
def until_the_parent_is_gone():
    sys.stdin.read()
"""


WORKER = """
import os
from assistant import worker
from assistant.domain.errors import InvalidRequest
from assistant.engines.scripted import ScriptedEngine
def make_engine(settings, say, features):
    print("what a library prints")
    os.system("echo and what its programs do")
    say("Loading " + settings.model)
    return load()
worker.make_engine = make_engine
"""


class House:
    """Settings whose worker is a program in a folder.

    Attributes:
        said: what a person was told.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.settings = Settings(data=folder / "data", model="a model")
        self.said: list[str] = []

    def program(self, *lines: str, before: str = LISTENING) -> None:
        (self._folder / "stand_in.py").write_text("\n".join([before, *lines]))

    @contextlib.asynccontextmanager
    async def running(self, url: str = "redis://:secret@host") -> AsyncIterator[tuple[Process, "asyncio.Task[None]"]]:
        process = await beside.start()
        try:
            async with beside.running_beside(process, self.settings, url, self.said.append) as task:
                yield process, task
        finally:
            await beside.end(process)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(beside, "PROGRAM", "stand_in")
    monkeypatch.setattr(beside, "FIRST_PAUSE", 0.01)
    return House(tmp_path)


async def test_it_is_told_what_to_do_and_heard(house: House, tmp_path: Path) -> None:
    told = tmp_path / "told"
    house.program(f"open({str(told)!r}, 'w').write(json.dumps(told))", READY, "until_the_parent_is_gone()")
    async with house.running() as (process, _):
        assert house.said == ["soon"]
        assert os.getpgid(process.pid) == process.pid, "Ctrl-C would end it before its turns are given back"
        assert os.getsid(process.pid) == os.getsid(0), "the nice of its threads would not count against this process"
    assert process.returncode == -signal.SIGTERM
    fields = json.loads(told.read_text())
    assert (fields["model"], fields["data"]) == ("a model", str(house.settings.data))
    assert fields["redis_url"] == "redis://:secret@host"


async def test_what_lies_where_it_is_started_is_not_imported(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "json.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(elsewhere)
    house.program(READY, "until_the_parent_is_gone()")
    async with house.running():
        assert house.said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['print(\'{"error": "No such model."}\')'], "No such model."),
        (["sys.exit(3)"], "status 3"),
        (["import os; os.kill(os.getpid(), signal.SIGKILL)"], "signal 9; 9 often means that memory ran out"),
    ],
)
async def test_one_that_does_not_get_ready_is_said(house: House, lines: list[str], said: str) -> None:
    house.program(*lines)
    with pytest.raises(Unavailable, match=said):
        async with house.running():
            raise AssertionError("it is not ready")


async def test_one_that_dies_is_started_again_after_longer_and_longer(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is not even ready again."""
    monkeypatch.setattr(beside, "LONGEST_PAUSE", 0.03)
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pause)
    first = f"open({str(tmp_path / 'first')!r}, 'x')"
    again = 'print(\'{"error": "No such model."}\'); sys.exit(1)'
    house.program(f"try: {first}", f"except FileExistsError: {again}", READY, "sys.exit(1)")
    with caplog.at_level(logging.ERROR):
        async with asyncio.timeout(20), house.running() as (_, task):
            house.program('print(\'{"error": "No such model."}\')')
            while len(pauses) < 4:
                await sleep(0.01)
            assert not task.done()
    assert pauses[:4] == [0.01, 0.02, 0.03, 0.03]
    assert [record.message.split(" It is")[0] for record in caplog.records][:2] == [
        "The worker's process ended with status 1.",
        "No such model.",
    ]
    assert house.said == ["soon"], "only the first start is told"


async def test_one_that_does_not_end_is_killed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "STOP_SECONDS", 0.2)
    house.program("signal.signal(signal.SIGTERM, signal.SIG_IGN)", READY, "time.sleep(60)")
    async with asyncio.timeout(20), house.running() as (process, _):
        pass
    assert process.returncode == -signal.SIGKILL


async def test_the_worker_says_what_it_has_to_and_nothing_else(house: House, redis_url: str) -> None:
    house.program("load = ScriptedEngine", "worker.main()", before=WORKER)
    async with asyncio.timeout(60), house.running(redis_url) as (process, task):
        assert not task.done()
    assert (house.said, process.returncode) == (["Loading a model"], 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("InvalidRequest('model_unreadable', 'No such model.')", "No such model."),
        ("OSError(28, 'No space')", "No space"),
    ],
)
async def test_what_the_worker_cannot_load_is_said(house: House, redis_url: str, error: str, said: str) -> None:
    house.program("def load():", f"    raise {error}", "worker.main()", before=WORKER)
    with pytest.raises(Unavailable, match=said):
        async with asyncio.timeout(60), house.running(redis_url):
            raise AssertionError("it is not ready")
