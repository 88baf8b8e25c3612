"""The HTTP API on real stores, a real worker and real sockets."""

import asyncio
import contextlib
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from assistant.api import requests as requests_module
from assistant.api import server as server_module
from assistant.bootstrap import Stores
from assistant.domain.errors import Unavailable
from assistant.domain.events import read_event
from assistant.images import ImageLimits
from tests import pictures
from tests.conftest import Start
from tests.e2e.http import JSON, Answer, House, Http, running

pytestmark = pytest.mark.e2e


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    async with asyncio.timeout(60), running(stores) as house:
        yield house


@pytest.fixture
async def ada(house: House) -> AsyncIterator[Http]:
    async with house.client("ada") as client:
        yield client


async def until(ask: Callable[[], Awaitable[Answer]], good: Callable[[Answer], object]) -> Answer:
    """Ask until the answer is good."""
    while True:
        answer = await ask()
        if good(answer):
            return answer
        await asyncio.sleep(0.01)


def text_of(events: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(event["text"] for _, event in events if event["type"] == "turn.delta")


# --- Conversations --------------------------------------------------------------------------------------------------


async def test_a_turn_about_a_picture_from_beginning_to_end(ada: Http) -> None:
    picture = await ada.upload(pictures.jpeg())
    assert (picture.status, picture.json["width"], picture.json["height"]) == (201, 64, 48)
    session = await ada.begin()
    accepted = await ada.say(session, "What is this?", images=[picture.json["image_id"]])
    assert (accepted.status, accepted.json["duplicate"]) == (202, False)
    events = await ada.events(session)
    turn = await ada.ask("GET", accepted.headers["Location"])
    assert turn.json["status"] == "completed"
    assert turn.json["images"][0]["seen"] is True
    assert turn.json["text"] == text_of(events) != ""
    detail = (await ada.ask("GET", f"/v1/sessions/{session}")).json
    assert [message["role"] for message in detail["messages"]] == ["user", "assistant"]
    assert detail["messages"][1] == turn.json["answer"]
    assert f"{detail['cursor']['epoch']}:{detail['cursor']['seq']}" == events[-1][0]
    kept = await ada.ask("GET", picture.headers["Location"])
    assert kept.headers["Content-Type"] == "image/jpeg"
    assert kept.data.startswith(b"\xff\xd8")


async def test_events_are_the_frames_of_the_log(house: House, ada: Http) -> None:
    session = await ada.begin()
    await ada.say(session, "hello")
    events = await ada.events(session)
    log = await house.stores.conversations.read(session, 0)
    assert [event for _, event in events] == [json.loads(entry.json) for entry in log]
    for place, event in events:
        assert place == f"{event['epoch']}:{event['seq']}"
        read_event(json.dumps(event))


async def test_a_reader_that_is_cut_off_again_and_again_has_the_same_text(house: House, ada: Http) -> None:
    session = await ada.begin()
    await ada.say(session, "tell me a long story")
    found: list[tuple[str, dict[str, Any]]] = []
    while not found or found[-1][1]["type"] != "turn.finished":
        found += await ada.events(session, found[-1][0] if found else None, most=3)
    seqs = [event["seq"] for _, event in found]
    assert seqs == list(range(1, len(seqs) + 1))
    answer = (await ada.ask("GET", f"/v1/sessions/{session}")).json["messages"][-1]
    assert text_of(found).encode() == "".join(part["text"] for part in answer["parts"]).encode()


async def test_a_reader_goes_on_where_a_turn_was_read(stores: Stores) -> None:
    """The text of a turn that runs and the events after its cursor are the whole."""
    async with asyncio.timeout(60), running(stores, delay_ms=20) as house, house.client("ada") as ada:
        session = await ada.begin()
        place = (await ada.say(session, "hello")).headers["Location"]
        turn = (await until(lambda: ada.ask("GET", place), lambda answer: answer.json["text"])).json
        assert turn["status"] == "running"
        after = await ada.events(session, f"{turn['cursor']['epoch']}:{turn['cursor']['seq']}")
        assert turn["text"] + text_of(after) == (await ada.ask("GET", place)).json["text"]


async def test_a_cursor_of_another_epoch_gets_the_whole_conversation(ada: Http) -> None:
    session = await ada.begin()
    await ada.say(session, "hello")
    await ada.events(session)
    [(place, snapshot)] = await ada.events(session, "e_other:3", until="session.snapshot")
    assert [message["role"] for message in snapshot["messages"]] == ["user", "assistant"]
    assert place == f"{snapshot['epoch']}:{snapshot['seq']}"
    wrong = await ada.ask("GET", f"/v1/sessions/{session}/events", headers={"Last-Event-ID": "7"})
    assert (wrong.status, wrong.code) == (422, "invalid_cursor")


async def test_a_message_sent_twice_is_one_turn(ada: Http) -> None:
    session = await ada.begin()
    first, second = await asyncio.gather(ada.say(session, "hello"), ada.say(session, "hello"))
    assert {first.status, second.status} == {202, 200}
    assert first.json["turn_id"] == second.json["turn_id"]
    await ada.events(session)
    again = await ada.say(session, "hello")
    assert (again.status, again.json["duplicate"]) == (200, True)
    other = await ada.say(session, "something else")
    assert (other.status, other.code) == (409, "client_message_id_reused")
    assert len((await ada.ask("GET", f"/v1/sessions/{session}")).json["messages"]) == 2


async def test_conversations_are_listed_renamed_exported_and_deleted(ada: Http) -> None:
    sessions = []
    for number in range(3):
        sessions.append(await ada.begin())
        await ada.say(sessions[-1], f"hello {number}")
        await ada.events(sessions[-1])
    page = (await ada.ask("GET", "/v1/sessions?limit=2")).json
    rest = (await ada.ask("GET", f"/v1/sessions?limit=2&before={page['before']}")).json
    assert [one["session_id"] for one in page["sessions"] + rest["sessions"]] == sessions[::-1]
    path = f"/v1/sessions/{sessions[0]}"
    assert (await ada.ask("PATCH", path, {"title": "  A  new title "})).json == {"title": "A new title"}
    assert (await ada.ask("PATCH", path, {"title": " "})).code == "title_empty"
    exported = await ada.ask("GET", f"{path}/export?format=json")
    assert exported.json["title"] == "A new title"
    assert exported.headers["Content-Disposition"].endswith('.json"')
    written = await ada.ask("GET", f"{path}/export?format=markdown")
    assert written.data.decode().startswith("# A new title\n")
    following = asyncio.create_task(ada.events(sessions[0], until="session.deleted"))
    await asyncio.sleep(0.05)
    assert (await ada.ask("DELETE", path)).status == 204
    assert (await following)[-1][1] == {"type": "session.deleted", "session_id": sessions[0]}
    assert [(await ada.ask(method, path)).code for method in ("GET", "DELETE")] == ["session_not_found"] * 2


async def test_a_turn_is_stopped(stores: Stores) -> None:
    async with asyncio.timeout(60), running(stores, delay_ms=200) as house, house.client("ada") as ada:
        session = await ada.begin()
        turn = (await ada.say(session, "a long story")).headers["Location"]
        assert (await ada.ask("POST", f"{turn}/cancel")).status == 204
        assert (await ada.events(session))[-1][1]["status"] == "cancelled"
        assert (await ada.ask("GET", turn)).json["status"] == "cancelled"
        assert (await ada.ask("POST", f"{turn}x/cancel")).code == "turn_not_found"
        message = (await ada.ask("GET", turn)).json["message_id"]
        again = f"/v1/sessions/{session}/messages/{message}/regenerate"
        regenerated = await ada.ask("POST", again, {"client_message_id": "again"})
        assert (regenerated.status, regenerated.json["message_id"]) == (202, message)
        assert (await ada.ask("POST", again, {"client_message_id": "again"})).json["duplicate"] is True
        queued = [await ada.say(session, "more", f"q-{number}") for number in range(3)]
        last = (await ada.ask("GET", queued[-1].headers["Location"])).json
        assert (last["status"], last["text"]) == ("queued", "")


# --- What is refused ------------------------------------------------------------------------------------------------


async def test_bodies_that_do_not_fit_are_refused_with_what_to_do(ada: Http) -> None:
    turns = f"/v1/sessions/{await ada.begin()}/turns"
    said = {"client_message_id": "c", "text": "hi"}
    for body, status, code in (
        ({**said, "session_id": "s_1"}, 422, "invalid_command"),
        ({**said, "txet": "hi"}, 422, "invalid_command"),
        ({"text": "hi"}, 422, "invalid_command"),
        ({"client_message_id": "c"}, 422, "message_empty"),
        ({**said, "text": "x" * 100_001}, 422, "text_too_long"),
        ({**said, "images": ["i_none"]}, 404, "image_not_found"),
        ({**said, "parent": "m_none"}, 404, "message_not_found"),
        ([], 400, "malformed_json"),
        ({**said, "text": "x" * 1024 * 1024}, 413, "body_too_large"),
    ):
        answer = await ada.ask("POST", turns, body)
        assert (answer.status, answer.code) == (status, code)
    for data, code in (
        ("{", "malformed_json"),
        ('{"text":"\\ud800"}', "malformed_json"),
        ('{"a":NaN}', "malformed_json"),
        ("[" * 50, "frame_too_deep"),
        ('{"a":' + "9" * 5000 + "}", "number_too_long"),
    ):
        assert (await ada.ask("POST", turns, data=data, headers=JSON)).code == code
    form = await ada.ask("POST", turns, data={"text": "hi"})
    assert (form.status, form.code) == (415, "media_type_unsupported")
    assert (await ada.ask("GET", "/v1/sessions?limit=1000")).code == "invalid_command"
    assert (await ada.ask("GET", "/nowhere")).code == "route_not_found"
    method = await ada.ask("PUT", turns)
    assert (method.status, method.code, method.headers["Allow"]) == (405, "method_not_allowed", "POST")


async def test_pictures_are_refused_as_on_a_socket(ada: Http) -> None:
    for data, kind, status, code in (
        (b"", "image/jpeg", 422, "image_empty"),
        (b"not a picture", "image/jpeg", 415, "image_unsupported"),
        (pictures.jpeg()[:200], "image/jpeg", 422, "image_truncated"),
        (pictures.jpeg(), "multipart/form-data", 415, "media_type_unsupported"),
        (b"x" * (ImageLimits().bytes + 1), "image/jpeg", 413, "image_too_large"),
    ):
        answer = await ada.ask("POST", "/v1/images", data=data, headers={"Content-Type": kind})
        assert (answer.status, answer.code) == (status, code)
    first, again = await ada.upload(pictures.jpeg()), await ada.upload(pictures.jpeg())
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json


async def test_a_body_in_chunks_is_bounded_as_it_comes(ada: Http) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 65536

    async def whole() -> AsyncIterator[bytes]:
        yield pictures.jpeg()

    kind = {"Content-Type": "image/jpeg"}
    assert (await ada.ask("POST", "/v1/images", data=whole(), headers=kind)).status == 201
    refused = await ada.ask("POST", "/v1/images", data=endless(), headers=kind)
    assert (refused.status, refused.code) == (413, "body_too_large")


async def test_a_body_that_stops_coming_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "PIECE_SECONDS", 0.1)
    key = await house.key("ada")
    answer = await _raw(
        house, f"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 9\r\n\r\n{{"
    )
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_too_slow" in answer


async def test_a_head_that_stops_coming_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.1)
    assert await _raw(house, "GET /version HTTP/1.1\r\nHost:") == b""
    assert await _raw(house, "") == b""


async def _raw(house: House, text: str) -> bytes:
    """Send bytes; all that comes until the server closes, or the body of a problem."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.url.rsplit(":", 1)[1]))
    writer.write(text.encode())
    data = b""
    try:
        while piece := await reader.read(65536):
            data += piece
            if data.endswith(b"}"):
                break
    except ConnectionResetError:
        pass
    writer.close()
    return data


async def test_what_breaks_here_is_said_without_a_word_of_it(
    ada: Http, stores: Stores, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said = "what a user said"

    async def broken(*_: object) -> None:
        raise ValueError(said)

    monkeypatch.setattr(type(stores.conversations), "sessions", broken)
    answer = await ada.ask("GET", "/v1/sessions")
    assert (answer.status, answer.code) == (500, "internal_error")
    assert said not in answer.data.decode()
    assert "a request broke: ValueError" in caplog.text
    assert said not in caplog.text


# --- Who is let in --------------------------------------------------------------------------------------------------


async def test_who_is_let_in_is_as_at_the_gateway(stores: Stores) -> None:
    async with running(stores, anonymous="loopback") as house, house.client_with(None) as nobody:
        port = house.url.rsplit(":", 1)[1]
        assert (await nobody.ask("GET", "/v1/sessions")).status == 200
        for headers, status, code in (
            ({"Host": f"evil.example:{port}"}, 401, "auth_required"),
            ({"X-Forwarded-For": "10.0.0.1"}, 401, "auth_required"),
            ({"Authorization": "Bearer va_wrong"}, 401, "auth_invalid"),
            ({"Origin": "https://evil.example"}, 403, "origin_not_allowed"),
        ):
            answer = await nobody.ask("GET", "/v1/sessions", headers=headers)
            assert (answer.status, answer.code) == (status, code)
            assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        own = await nobody.ask("GET", "/v1/sessions", headers={"Origin": house.url})
        assert own.status == 200
        assert "Access-Control-Allow-Origin" not in own.headers
        cookie = {"Cookie": f"assistant-{port}={await house.key('ada')}", "X-Forwarded-For": "10.0.0.1"}
        assert (await nobody.ask("GET", "/v1/sessions", headers=cookie)).code == "auth_required"


async def test_tokens_of_a_provider_are_taken(stores: Stores, tmp_path: Path) -> None:
    signer = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = {**json.loads(RSAAlgorithm.to_jwk(signer.public_key())), "kid": "1", "use": "sig", "alg": "RS256"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [key]}), encoding="utf-8")
    provider: dict[str, Any] = {
        "jwt_issuer": "https://login.example/",
        "jwt_audience": "a",
        "jwt_keys": str(tmp_path / "jwks.json"),
    }

    def token(audience: str = "a", scope: str = "chat") -> str:
        claims = {"iss": "https://login.example/", "aud": audience, "sub": "ada", "scope": scope}
        claims["exp"] = int(time.time()) + 60  # type: ignore[assignment]
        return jwt.encode(claims, signer, "RS256", headers={"kid": "1"})

    async with running(stores, **provider) as house:
        async with house.client_with(token()) as ada:
            session = await ada.begin()
        async with house.client_with(token(scope="read")) as reader:
            assert (await reader.ask("GET", f"/v1/sessions/{session}")).status == 200
            assert (await reader.ask("POST", "/v1/sessions")).code == "scope_missing"
        async with house.client_with(token(audience="b")) as stranger:
            assert (await stranger.ask("GET", "/v1/sessions")).code == "auth_invalid"


async def test_pages_of_the_origins_that_are_set_may_ask(stores: Stores) -> None:
    page = "https://chat.example"
    async with running(stores, origins=(page,)) as house, house.client("ada") as ada:
        answer = await ada.ask("GET", "/v1/sessions", headers={"Origin": page})
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, page)
        asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
        before = await ada.ask("OPTIONS", "/v1/sessions/s_1", headers={"Origin": page, **asked})
        assert (before.status, before.headers["Access-Control-Allow-Origin"]) == (200, page)
        other = await ada.ask("OPTIONS", "/v1/sessions/s_1", headers={"Origin": "https://evil.example", **asked})
        assert "Access-Control-Allow-Origin" not in other.headers
        evil = await ada.ask("GET", "/v1/sessions", headers={"Origin": "https://evil.example"})
        assert evil.code == "origin_not_allowed"
        elsewhere = await ada.ask("GET", "/v1/sessions", headers={"Host": "evil.example"})
        assert (elsewhere.status, elsewhere.code) == (421, "host_not_allowed")


async def test_a_stream_ends_when_its_key_is_revoked(house: House) -> None:
    key = await house.key("ada")
    async with house.client_with(key) as ada:
        session = await ada.begin()
        following = asyncio.create_task(ada.events(session))
        await asyncio.sleep(0.1)
        await house.stores.keys.revoke(key[3:15])
        assert await following == []
        assert (await ada.ask("GET", f"/v1/sessions/{session}/events")).code == "auth_invalid"


# --- Limits ---------------------------------------------------------------------------------------------------------


async def test_limits_refuse_before_the_work_and_say_when_to_come_back(stores: Stores) -> None:
    limits = {"turns_per_minute": 2, "megabytes_per_day": 1, "sockets_per_owner": 1}
    async with asyncio.timeout(60), running(stores, **limits) as house, house.client("ada") as ada:
        session = await ada.begin()
        for number in range(2):
            await ada.say(session, "hello", f"c-{number}")
        assert (await ada.ask("GET", "/v1/limits")).json["remaining"]["turns"] == 0
        refused = await ada.say(session, "hello", "c-2")
        assert (refused.status, refused.code) == (429, "turns_exhausted")
        assert 0 < refused.json["retry_after"] <= int(refused.headers["Retry-After"]) <= 31
        assert (await ada.say(session, "hello", "c-1")).status == 200, "accepted before"
        heavy = await ada.ask("POST", "/v1/images", data=b"x" * 1_000_001, headers={"Content-Type": "image/png"})
        assert (heavy.status, heavy.code, heavy.headers.get("Retry-After")) == (422, "bytes_beyond_limit", None)
        async with ada.session.get(f"/v1/sessions/{session}/events"):
            second = await ada.ask("GET", f"/v1/sessions/{session}/events")
            assert (second.status, second.code) == (429, "too_many_sockets")


async def test_an_address_with_too_many_connections_is_turned_away(stores: Stores) -> None:
    async with asyncio.timeout(60), running(stores, sockets_per_address=1) as house, house.client("ada") as ada:
        session = await ada.begin()
        async with ada.session.get(f"/v1/sessions/{session}/events"):
            assert (await ada.ask("GET", "/version")).status == 429
        await until(lambda: ada.ask("GET", "/version"), lambda answer: answer.status == 200)


async def test_strangers_do_not_take_the_places_of_those_who_are_known(stores: Stores) -> None:
    async with asyncio.timeout(60), running(stores, unknown_per_address=1) as house, house.client("ada") as ada:
        session = await ada.begin()
        async with ada.session.get(f"/v1/sessions/{session}/events"), house.client_with(None) as nobody:
            assert (await nobody.ask("GET", "/version")).status == 200
            async with house.client_with(None) as another:
                assert (await another.ask("GET", "/version")).status == 429


async def test_a_connection_that_asks_too_fast_is_answered_later(stores: Stores) -> None:
    async with asyncio.timeout(60), running(stores, frames_per_second=10) as house, house.client("ada") as ada:
        began = asyncio.get_running_loop().time()
        for _ in range(23):  # two seconds' worth at once, then one in 0.1 s
            assert (await ada.ask("GET", "/v1/limits")).status == 200
        assert asyncio.get_running_loop().time() - began > 0.2


async def test_a_reader_that_takes_nothing_is_let_go(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "READ_SECONDS", 0.1)
    monkeypatch.setattr(server_module, "SEND_BUFFER", 4096)
    async with asyncio.timeout(60), running(stores) as house, house.client("ada") as ada:
        session = await ada.begin()
        for number in range(8):
            said = "x" * 100_000, f"c-{number}"
            await until(lambda said=said: ada.say(session, *said), lambda answer: answer.status == 202)  # type: ignore[misc]
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", int(house.url.rsplit(":", 1)[1])))
        reader, writer = await asyncio.open_connection(sock=slow, limit=1024)
        key = await house.key("ada")
        head = f"GET /v1/sessions/{session}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
        writer.write(head.encode())
        await asyncio.sleep(0.5)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(10**9)
        writer.close()


# --- The server -----------------------------------------------------------------------------------------------------


async def test_stopping_ends_streams_at_once(stores: Stores) -> None:
    async with asyncio.timeout(30):
        async with contextlib.AsyncExitStack() as later:
            async with running(stores) as house:
                ada = await later.enter_async_context(house.client("ada"))
                session = await ada.begin()
                following = asyncio.create_task(ada.events(session))
                await asyncio.sleep(0.1)
            assert await following == []


async def test_health_and_version_ask_for_nobody(house: House) -> None:
    async with house.client_with(None) as nobody:
        assert (await nobody.ask("GET", "/health/live")).json == {"status": "ok"}
        assert (await nobody.ask("GET", "/health/ready")).json == {"status": "ok", "workers": 0}
        assert (await nobody.ask("GET", "/version")).json["protocol"] == 1


async def test_the_api_says_so_while_redis_is_away(stores: Stores, ada: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores.conversations._redis.connection_pool, "get_connection", _away)
    ready = await ada.ask("GET", "/health/ready")
    assert (ready.status, ready.json["problem"]) == (503, "Redis does not answer")
    away = await ada.ask("GET", "/v1/sessions")
    assert (away.status, away.code) == (503, "unavailable")
    assert int(away.headers["Retry-After"]) >= 1


async def _away(*_: object, **__: object) -> None:
    raise ConnectionError("away")


# --- The programs ---------------------------------------------------------------------------------------------------


def test_serve_has_the_api_where_its_port_is_given(start: Start, assistant_command: list[str]) -> None:
    """On port 0, which the system chooses; a second one on a port in use is refused in a line that says what to do."""
    script = ("serve", "--engine", "scripted")
    server = start(*script, "--api-port", "0", ready=r"HTTP API: http://\S+")
    with urllib.request.urlopen(f"{server.url.removeprefix('HTTP API: ')}/version", timeout=10) as answer:  # noqa: S310
        assert json.load(answer)["protocol"] == 1
    redis = ("--redis-url", "redis://127.0.0.1:1/0")
    without = subprocess.run(
        [*assistant_command, "api", *redis, "--api-port", "0"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (without.returncode, without.stderr.count("\n")) == (2, 1)


async def test_a_port_in_use_is_said_to_be(house: House) -> None:
    port = house.url.rsplit(":", 1)[1]
    with pytest.raises(Unavailable, match=f"Port {port} on 127.0.0.1 is in use: .* by --api-port"):
        async with running(house.stores, api_port=int(port)):
            pass
