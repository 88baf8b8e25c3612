"""Keys as an operator and their owners use them: a real server, real processes, real sockets."""

import asyncio
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from assistant.client import Client, ClientError, ServerRefused
from assistant.gateway.jwts import LEEWAY_SECONDS
from assistant.gateway.wire.frame import SUBPROTOCOL
from tests import pictures
from tests.conftest import Server, Start
from tests.e2e.raw import Raw

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(start_session: Start, data: Path) -> Server:
    arguments = ["--scripted-delay-ms", "1", "--anonymous", "never"]
    return start_session("serve", "--engine", "scripted", *arguments, "--data", str(data))


class Operator:
    """Runs ``assistant keys`` beside the server."""

    def __init__(self, command: list[str], data: Path) -> None:
        self._command = command
        self._data = str(data)

    def __call__(self, *arguments: str) -> str:
        command = [*self._command, "keys", *arguments, "--data", self._data]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def create(self, owner: str, *more: str) -> str:
        return self("create", "--owner", owner, *more)


@pytest.fixture(scope="module")
def operator(assistant_command: list[str], server: Server, data: Path) -> Operator:
    return Operator(assistant_command, data)


async def closed(socket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as gone:  # noqa: PT012
        while True:
            await socket.recv()
    assert gone.value.rcvd is not None
    return gone.value.rcvd.code


async def test_a_revoked_key_closes_its_live_sockets_within_five_seconds(server: Server, operator: Operator) -> None:
    token, other = operator.create("ada", "--name", "lost"), operator.create("ada", "--name", "kept")
    async with (
        Raw(server.socket_url, authenticate=False) as idle,
        Raw(server.socket_url, authenticate=False) as busy,
        Raw(server.socket_url, authenticate=False) as kept,
    ):
        for one, key in ((idle, token), (busy, token), (kept, other)):
            assert (await one.command("auth", token=key))["owner"] == "ada"
        session = (await busy.command("session.open"))["session_id"]
        await busy.command("turn.submit", session_id=session, client_message_id="c-1", text="a long story")
        await asyncio.to_thread(operator, "revoke", "lost")
        began = time.monotonic()
        async with asyncio.timeout(30):
            codes = await asyncio.gather(closed(idle.socket), closed(busy.socket))
        assert list(codes) == [4001, 4001]
        assert time.monotonic() - began < 5, "the promise of docs/access.md"
        assert (await kept.command("ping"))["type"] == "pong"
    async with Raw(server.socket_url, authenticate=False) as again:
        assert (await again.command("auth", token=token))["code"] == "auth_invalid"


async def test_a_client_whose_key_is_revoked_does_not_come_back(server: Server, operator: Operator) -> None:
    token = operator.create("ada", "--name", "sdk")
    async with asyncio.timeout(60), Client(server.socket_url, token=token) as client:
        await client.memories()
        await asyncio.to_thread(operator, "revoke", "sdk")
        with pytest.raises(ClientError) as over:  # noqa: PT012
            while True:
                await client.memories()
                await asyncio.sleep(0.05)
    assert isinstance(over.value, ServerRefused)
    assert over.value.code in ("token_revoked", "auth_invalid")


def test_the_terminal_takes_a_key_from_the_environment(
    assistant_command: list[str], server: Server, operator: Operator
) -> None:
    command = [*assistant_command, "chat", "--url", server.socket_url, "hello"]
    without = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (without.returncode, "keys create" in without.stderr, without.stderr.count("\n")) == (2, True, 1)
    environment = {**os.environ, "ASSISTANT_TOKEN": operator.create("ada", "--name", "terminal")}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


async def test_two_keys_of_an_owner_see_the_same_and_another_owner_nothing(server: Server, operator: Operator) -> None:
    ada, same, eve = operator.create("ada"), operator.create("ada"), operator.create("eve")
    async with asyncio.timeout(60), Client(server.socket_url, token=ada) as client:
        session = await client.open()
        picture = await client.upload(pictures.jpeg())
        async for _ in session.ask("What is this?", images=[picture]):
            pass
    async with Client(server.socket_url, token=same) as client:
        assert (await client.open(session.session_id)).session_id == session.session_id
    async with Client(server.socket_url, token=eve) as client:
        with pytest.raises(ServerRefused) as refused:
            await client.open(session.session_id)
        assert refused.value.code == "session_not_found"
    for token, status in ((ada, 200), (same, 200), (eve, 404), (f"{ada}x", 404), (None, 404)):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        assert await asyncio.to_thread(_status, f"{server.url}/v1/images/{picture}", headers) == status


def _status(url: str, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def test_a_cookie_opens_the_socket_of_its_own_pages_only(server: Server, operator: Operator) -> None:
    token = await asyncio.to_thread(operator.create, "ada")
    cookie = {"Cookie": f"assistant-{server.port}={token}"}
    for headers in ({"Origin": server.url, **cookie}, {"Authorization": f"Bearer {token}"}):
        async with connect(server.socket_url, additional_headers=headers, subprotocols=[SUBPROTOCOL]) as socket:
            await socket.recv()
            await socket.send('{"type":"auth","id":"1"}')
            assert json.loads(await socket.recv())["owner"] == "ada"
    for origin in ("https://evil.example", "null", server.url.replace("http", "https", 1) + "1"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                server.socket_url, additional_headers={"Origin": origin, **cookie}, subprotocols=[SUBPROTOCOL]
            )
        assert refused.value.response.status_code == 403


async def test_no_key_is_in_the_log_or_in_the_data_folder(
    start: Start, assistant_command: list[str], tmp_path: Path
) -> None:
    server = start("serve", "--engine", "scripted", "--log-level", "debug", "--data", str(tmp_path))
    token = await asyncio.to_thread(Operator(assistant_command, tmp_path).create, "ada")
    wrong = f"{token[:-1]}{'x' if token[-1] != 'x' else 'y'}"
    for key, status in ((token, 200), (wrong, 401)):
        login = {"Authorization": f"Bearer {key}", "X-Requested-With": "page"}
        assert await asyncio.to_thread(_status, f"{server.url}/v1/login", login) == status
        cookie = {"Cookie": f"assistant-{server.port}={key}"}
        assert await asyncio.to_thread(_status, f"{server.url}/v1/images/i_none", cookie) == 404
        async with Raw(server.socket_url, authenticate=False) as client:
            assert (await client.command("auth", token=key))["type"] == ("ack" if key == token else "error")
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert token[3:15].encode() in kept, "keys are kept somewhere else: this test looks in the wrong place"
    assert token[15:58].encode() not in kept
    server.process.terminate()
    said, logged = await asyncio.to_thread(server.process.communicate, timeout=30)
    assert "connection open" in logged, "nothing was logged: this test proves nothing"
    assert token[15:58] not in said + logged


async def test_a_token_of_a_provider_is_let_in_with_its_own_things(start: Start, tmp_path: Path) -> None:
    """Through the settings of the program; what is wrong with tokens is tried in ``gateway/test_jwts``."""
    signer = rsa.generate_private_key(65537, 2048)
    keys = {"keys": [{**RSAAlgorithm.to_jwk(signer.public_key(), as_dict=True), "kid": "1"}]}
    (tmp_path / "keys.json").write_text(json.dumps(keys), encoding="utf-8")
    tokens = {"ISSUER": "https://login.example/", "AUDIENCE": "assistant", "KEYS": str(tmp_path / "keys.json")}
    environment = {f"ASSISTANT_JWT_{name}": value for name, value in tokens.items()}
    server = await asyncio.to_thread(lambda: start("serve", "--engine", "scripted", environment=environment))

    def token(audience: str = "assistant", seconds: float = 600) -> str:
        claims = {"iss": "https://login.example/", "aud": audience, "sub": "ada", "exp": int(time.time() + seconds)}
        return jwt.encode(claims, signer, "RS256", headers={"kid": "1"})

    brief = 3.0 - LEEWAY_SECONDS
    async with (
        asyncio.timeout(60),
        Raw(server.socket_url, authenticate=False) as client,
        Raw(server.socket_url, authenticate=False) as ending,
        Raw(server.socket_url, authenticate=False) as wrong,
    ):
        assert (await ending.command("auth", token=token(seconds=brief)))["owner"] == "jwt:ada"
        assert (await client.command("auth", token=token()))["owner"] == "jwt:ada"
        assert (await wrong.command("auth", token=token("another")))["code"] == "auth_invalid"
        assert (await ending.command("session.open"))["type"] == "ack"
        assert await closed(ending.socket) == 4001, "a token that expires closes what is open under it"
        assert (await client.command("ping"))["type"] == "pong"
