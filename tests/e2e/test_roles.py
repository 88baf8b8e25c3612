"""The very commands of ``docker-compose.yml``, as processes on Debian's redis-server, play a turn."""

import asyncio
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from assistant.client import Client
from assistant.domain.events import TurnDelta, TurnFinished, TurnStarted
from tests import pictures
from tests.conftest import Server, Start
from tests.servers import free_port

pytestmark = pytest.mark.e2e
COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return services


@pytest.fixture(scope="module")
def redis_port(services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    command = list(services["redis"]["command"])
    server = shutil.which(command[0])
    if server is None:
        raise RuntimeError("redis-server is missing: apt-get install redis-server")
    port = free_port()
    folder = str(tmp_path_factory.mktemp("redis"))
    process = subprocess.Popen(
        [server, *command[1:], "--port", str(port), "--bind", "127.0.0.1", "--dir", folder], stdout=subprocess.DEVNULL
    )
    yield port
    process.terminate()
    process.wait()


def here(service: dict[str, Any], redis_port: int) -> tuple[list[str], dict[str, str]]:
    """A service's command and environment, with its addresses moved to this machine."""
    program, *arguments = service["command"]
    assert program == "assistant"
    environment = {name: str(value) for name, value in service["environment"].items()}
    environment["REDIS_URL"] = environment["REDIS_URL"].replace("redis:6379", f"127.0.0.1:{redis_port}")
    environment = {
        name: value for name, value in environment.items() if name.startswith("ASSISTANT_") or name == "REDIS_URL"
    }
    return arguments, environment


@pytest.fixture
def roles(services: dict[str, Any], redis_port: int, start: Start) -> Server:
    """Gateway and worker. The worker's engine is the script: the model has its own tests."""
    arguments, environment = here(services["worker"], redis_port)
    scripted = {"ASSISTANT_ENGINE": "scripted", "ASSISTANT_SCRIPTED_DELAY_MS": "5"}
    start(*arguments, ready="worker ready", environment={**environment, **scripted})
    arguments, environment = here(services["gateway"], redis_port)
    port = str(free_port())
    arguments = [
        port if before == "--port" else word for before, word in zip(["", *arguments], arguments, strict=False)
    ]
    return start(*arguments, environment=environment)


async def test_the_composed_roles_answer_about_a_picture(roles: Server) -> None:
    url = f"ws://127.0.0.1:{roles.port}/v1/ws"
    async with asyncio.timeout(30), Client(url) as client:
        picture = await client.upload(pictures.jpeg())
        session = await client.open()
        events = [event async for event in session.ask("What is this?", images=[picture])]
    text = "".join(event.text for event in events if isinstance(event, TurnDelta))
    finished = events[-1]
    assert isinstance(finished, TurnFinished)
    assert (finished.status, finished.images[0].seen) == ("completed", True)
    assert text == session.messages[-1].text


async def test_the_composed_health_check_asks_the_gateway(services: dict[str, Any], roles: Server) -> None:
    probe = services["gateway"]["healthcheck"]["test"]
    assert "/healthz" in " ".join(probe)
    answer = await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{roles.port}/healthz", timeout=5)
    with answer:
        assert answer.status == 200


async def test_the_composed_api_answers_in_the_same_conversation(
    services: dict[str, Any], redis_port: int, roles: Server, start: Start
) -> None:
    arguments, environment = here(services["api"], redis_port)
    port = arguments.index("--api-port") + 1
    arguments[port] = str(free_port())
    api = start(*arguments, environment=environment)
    assert "/health/ready" in " ".join(services["api"]["healthcheck"]["test"])
    async with asyncio.timeout(30), aiohttp.ClientSession(f"http://127.0.0.1:{api.port}") as client:
        async with client.get("/health/ready") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok", "workers": 1})
        async with client.post("/v1/sessions") as answer:
            session_id = (await answer.json())["session_id"]
        said = {"client_message_id": "c-1", "text": "hello"}
        async with client.post(f"/v1/sessions/{session_id}/turns", json=said) as answer:
            assert answer.status == 202
        async with Client(f"ws://127.0.0.1:{roles.port}/v1/ws") as there:
            session = await there.open(session_id)
            while not session.messages or session.messages[-1].role != "assistant":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        async with client.get(f"/v1/sessions/{session_id}") as answer:
            messages = (await answer.json())["messages"]
    assert messages[-1]["parts"][0]["text"] == session.messages[-1].text


async def test_a_worker_that_dies_in_an_answer_is_followed_by_another(
    services: dict[str, Any], redis_port: int, start: Start
) -> None:
    arguments, environment = here(services["worker"], redis_port)
    slow = {**environment, "ASSISTANT_ENGINE": "scripted", "ASSISTANT_SCRIPTED_DELAY_MS": "100"}
    first = start(*arguments, ready="worker ready", environment=slow)
    gateway, gateway_environment = here(services["gateway"], redis_port)
    port = str(free_port())
    gateway = [port if before == "--port" else word for before, word in zip(["", *gateway], gateway, strict=False)]
    server = start(*gateway, environment=gateway_environment)
    async with asyncio.timeout(90), Client(f"ws://127.0.0.1:{server.port}/v1/ws") as client:
        session = await client.open()
        text, attempts = "", []
        async for event in session.ask("a long story"):
            if isinstance(event, TurnStarted):
                attempts.append(event.attempt)
            if isinstance(event, TurnDelta):
                text += event.text
                if first.process.poll() is None:
                    first.process.kill()
                    first.process.wait()
                    start(*arguments, ready="worker ready", environment=slow)
        assert attempts == [1, 2]
        assert text == session.messages[-1].text


def test_split_roles_need_a_redis(assistant_command: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    for role in ("gateway", "api", "worker"):
        started = time.monotonic()
        ended = subprocess.run(
            [*assistant_command, role], capture_output=True, text=True, timeout=60, check=False, env=environment
        )
        assert ended.returncode == 2
        assert ended.stderr.startswith("assistant: This role shares a Redis")
        assert ended.stderr.count("\n") == 1
        assert time.monotonic() - started < 60
