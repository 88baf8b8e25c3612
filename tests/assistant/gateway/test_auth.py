from datetime import UTC, datetime, timedelta

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from assistant.domain.access import Identity, Scope, digest, write_key
from assistant.domain.errors import InvalidRequest, Unavailable
from assistant.gateway import auth
from assistant.gateway.auth import Authenticator, Caller, Failures
from assistant.service.keys import Keys
from tests.assistant.fakes import NOW, FakeKeys, FixedClock

CHAT: tuple[Scope, ...] = ("chat",)
HERE = Caller(address="127.0.0.1", host="127.0.0.1:8000")
AWAY = Caller(address="10.0.0.1", host="chat.example")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "FAILURE_SECONDS", 0.0)


async def made(keys: FakeKeys, days: float | None = None) -> str:
    lifetime = timedelta(days=days) if days else None
    token, _ = await Keys(keys, FixedClock()).create("ada", "laptop", CHAT, lifetime)
    return token


# --- Addresses, hosts and origins -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.255.0.9", "::1", "localhost", "::ffff:127.0.0.1", "::1%lo", "0:0:0:0:0:0:0:1"]
)
def test_this_machine(address: str) -> None:
    assert auth.is_loopback(address)


@pytest.mark.parametrize(
    "address",
    ["", "10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "fe80::1%eth0", "127.0.0.1.evil.example", "localhost.evil"],  # noqa: S104
)
def test_other_machines(address: str) -> None:
    assert not auth.is_loopback(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "[::1]"])
def test_names_of_this_machine(host: str) -> None:
    assert auth.host_is_loopback(host)
    assert auth.host_is_allowed(host, ("https://chat.example",))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "[",
        "[x]",
        "[::1",
        "evil.example",
        "evil.example:8000",
        "localhost@evil.example",
        "192.168.1.5:8000",
        "127.0.0.1.evil.example",
    ],
)
async def test_a_rebound_name_is_nobody_s(host: str) -> None:
    assert not auth.host_is_loopback(host)
    assert not auth.host_is_allowed(host, ("https://chat.example",))
    with pytest.raises(InvalidRequest) as refused:
        await Authenticator(FakeKeys(), FixedClock()).identify(None, Caller(address="127.0.0.1", host=host))
    assert refused.value.code == "auth_required"


def test_a_host_is_any_that_is_one_or_those_of_the_origins() -> None:
    assert auth.host_is_allowed("chat.example:8000", ())
    assert not auth.host_is_allowed("", ())
    assert auth.host_is_allowed("Chat.Example", ("https://chat.example",))
    assert not auth.host_is_allowed("chat.example:8000", ("https://chat.example",))


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "127.0.0.1:8000", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("https://Chat.Example", "chat.example", True),
        ("http://127.0.0.1:8001", "127.0.0.1:8000", False),
        ("http://127.0.0.1", "127.0.0.1:8000", False),
        ("http://localhost:8000", "127.0.0.1:8000", False),
        ("http://127.0.0.1:8000.evil.example", "127.0.0.1:8000", False),
        ("http://evil.example", "127.0.0.1:8000", False),
        ("null", "127.0.0.1:8000", False),
        ("", "127.0.0.1:8000", False),
        ("http://naïve.example", "127.0.0.1:8000", False),
        ("http://[", "127.0.0.1:8000", False),
        ("http://[x]", "127.0.0.1:8000", False),
        ("http://\udcff", "127.0.0.1:8000", False),
    ],
)
def test_only_pages_of_this_host_may_connect(origin: str | None, host: str, allowed: bool) -> None:
    assert auth.origin_is_allowed(origin, host, ()) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("https://chat.example", True),
        ("https://CHAT.example", True),
        ("http://chat.example", False),
        ("https://chat.example.evil", False),
        ("https://chat.example:8443", False),
        ("https://127.0.0.1:8000", False),
        ("null", False),
        ("", False),
    ],
)
def test_where_origins_are_set_exactly_they_may(origin: str | None, allowed: bool) -> None:
    assert auth.origin_is_allowed(origin, "127.0.0.1:8000", ("https://chat.example",)) is allowed


# --- Without a token ------------------------------------------------------------------------------------------------


async def test_anonymous_clients_of_this_machine_are_one_owner() -> None:
    door = Authenticator(FakeKeys(), FixedClock())
    first = await door.identify(None, HERE)
    assert first == await door.identify(None, Caller(address="::1", host="[::1]:8000"))
    assert (first.owner, first.key_id, first.expires_at) == ("anonymous", None, None)
    anywhere = Authenticator(FakeKeys(), FixedClock(), anonymous="anywhere")
    assert await anywhere.identify(None, AWAY) == first


@pytest.mark.parametrize(
    ("anonymous", "caller"),
    [
        ("loopback", AWAY),
        ("loopback", Caller(address="10.0.0.1", host="127.0.0.1:8000")),
        ("loopback", Caller(address="127.0.0.1", host="127.0.0.1:8000", proxied=True)),
        ("never", HERE),
    ],
)
async def test_others_are_told_what_to_do(anonymous: auth.Anonymous, caller: Caller) -> None:
    with pytest.raises(InvalidRequest, match=r"keys create.*ASSISTANT_ANONYMOUS") as refused:
        await Authenticator(FakeKeys(), FixedClock(), anonymous=anonymous).identify(None, caller)
    assert refused.value.code == "auth_required"


# --- Keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("caller", [HERE, AWAY])
async def test_a_key_is_its_owner_from_wherever_it_comes(caller: Caller) -> None:
    keys = FakeKeys()
    token = await made(keys)
    identity = await Authenticator(keys, FixedClock(), anonymous="never").identify(token, caller)
    assert (identity.owner, identity.key_id, identity.scopes) == ("ada", next(iter(keys.kept_keys)), frozenset(CHAT))


async def test_a_key_that_is_wrong_anywhere_is_nobody(caplog: pytest.LogCaptureFixture) -> None:
    keys = FakeKeys()
    token, other = await made(keys), await made(keys)
    door = Authenticator(keys, FixedClock(), anonymous="anywhere")
    mixed = token[:15] + other[15:]
    swapped = [token[:n] + ("b" if token[n] == "a" else "a") + token[n + 1 :] for n in range(len(token))]
    with caplog.at_level("DEBUG"):
        for wrong in ("", "x", "va_", token[:-1], f"{token} ", f"{token}\n", token.upper(), mixed, *swapped):
            with pytest.raises(InvalidRequest) as refused:
                await door.identify(wrong, HERE)
            assert refused.value.code == "auth_invalid"
            assert token not in refused.value.message
    assert token not in caplog.text
    assert keys.found == 0, "what cannot be a key is asked for"


async def test_the_secret_of_a_known_key_is_compared() -> None:
    keys = FakeKeys()
    [forged, key_id], [true, same] = write_key(b"a name", bytes(32)), write_key(b"a name", b"\1" * 32)
    assert key_id == same
    await made(keys)
    known = next(iter(keys.kept_keys.values()))
    await keys.add(known.model_copy(update={"key_id": key_id, "digest": digest(true)}))
    door = Authenticator(keys, FixedClock())
    assert (await door.identify(true, HERE)).key_id == key_id
    with pytest.raises(InvalidRequest):
        await door.identify(forged, HERE)


async def test_a_revoked_key_and_one_that_has_expired_are_nobody() -> None:
    keys = FakeKeys()
    token = await made(keys)
    await keys.revoke(next(iter(keys.kept_keys)))
    door = Authenticator(keys, FixedClock())
    with pytest.raises(InvalidRequest) as refused:
        await door.identify(token, HERE)
    assert refused.value.code == "auth_invalid"
    brief = await made(keys, days=1)
    assert (await door.identify(brief, HERE)).expires_at == NOW + timedelta(days=1)

    class Later(FixedClock):
        def now(self) -> datetime:
            return NOW + timedelta(days=1)

    with pytest.raises(InvalidRequest, match="expired") as refused:
        await Authenticator(keys, Later()).identify(brief, HERE)
    assert refused.value.code == "auth_expired"


async def test_a_store_that_does_not_answer_is_no_wrong_key() -> None:
    keys = FakeKeys()
    token = await made(keys)
    keys.error = Unavailable("unavailable", "The store does not answer now. Try again.", retry_after=1.0)
    with pytest.raises(Unavailable):
        await Authenticator(keys, FixedClock()).identify(token, HERE)


async def test_other_tokens_are_nobody_where_none_are_taken() -> None:
    with pytest.raises(InvalidRequest) as refused:
        await Authenticator(FakeKeys(), FixedClock()).identify("a.b.c", HERE)
    assert refused.value.code == "auth_invalid"


async def test_other_tokens_go_to_whoever_reads_them_and_end_with_time() -> None:
    class Verifier:
        until = NOW + timedelta(seconds=1)

        def check(self) -> None:
            pass

        async def verify(self, token: str) -> Identity:
            return Identity(owner=f"jwt:{token}", expires_at=self.until)

    verifier = Verifier()
    door = Authenticator(FakeKeys(), FixedClock(), tokens=verifier)
    assert (await door.identify("a.b.c", AWAY)).owner == "jwt:a.b.c"
    verifier.until = NOW
    with pytest.raises(InvalidRequest):
        await door.identify("a.b.c", AWAY)


# --- Guessing -------------------------------------------------------------------------------------------------------


def test_whoever_guesses_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "FAILURE_SECONDS", 0.25)
    failures = Failures()
    waits = [failures.wait("10.0.0.1") for _ in range(40)]
    assert waits[0] == 0, "a first mistake costs nothing"
    assert waits == sorted(waits)
    assert waits[-1] == auth.LONGEST_WAIT
    assert failures.wait("10.0.0.2") == 0
    failures.wait("2001:db8::1")
    assert failures.wait("2001:db8::ffff:1") > 0, "another address of the same network"
    assert failures.wait("2001:db8:1::1") == 0
    monkeypatch.setattr(auth, "FORGET_SECONDS", 0.0)
    assert failures.wait("10.0.0.1") == 0


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "MOST_ADDRESSES", 2)
    failures = Failures()
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        failures.wait(address)
    assert len(failures._counts) == 2


async def test_a_failure_is_told_late_and_a_right_key_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(auth, "FAILURE_SECONDS", 0.25)
    monkeypatch.setattr("assistant.gateway.auth.asyncio.sleep", sleep)
    keys = FakeKeys()
    token = await made(keys)
    door = Authenticator(keys, FixedClock())
    for _ in range(3):
        with pytest.raises(InvalidRequest):
            await door.identify("wrong", AWAY)
    await door.identify(token, AWAY)
    assert slept == [0.0, 0.25, 0.5]


# --- What a request says --------------------------------------------------------------------------------------------


class Socket:
    remote_address = ("10.0.0.1", 1234)


def caller(**headers: str) -> Caller:
    sent = Headers()
    sent["Host"] = "chat.example:8000"
    for name, value in headers.items():
        sent[name.replace("_", "-")] = value
    return Caller.of(Socket(), Request("/", sent))  # type: ignore[arg-type]


def test_a_token_comes_in_a_header_or_in_our_cookie() -> None:
    assert caller().token is None
    assert caller(Authorization="Bearer va_x").token == "va_x"
    assert caller(Authorization="bearer  va_x ").token == "va_x"
    assert caller(Authorization="Basic va_x").token is None
    assert caller(Cookie='theme={"a":1}; assistant-8000=va_y; other').token == "va_y"
    assert caller(Cookie="assistant-8001=va_y").token is None, "the cookie of another server on this host"
    assert caller(Cookie="assistant-8000=").token is None
    assert caller(Authorization="Bearer va_x", Cookie="assistant-8000=va_y").token == "va_x"


def test_the_name_of_the_cookie_has_the_port() -> None:
    assert auth.cookie_name("chat.example") == "assistant-token"
    assert auth.cookie_name("[::1]:8000") == "assistant-8000"
    assert auth.cookie_name("chat.example:port") == "assistant-token"


@pytest.mark.parametrize("header", ["Forwarded", "X_Forwarded_For", "X_Real_IP"])
def test_a_proxy_is_seen(header: str) -> None:
    assert not caller().proxied
    assert caller(**{header: "1.2.3.4"}).proxied


def test_the_end_of_an_identity() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert Identity(owner="ada", expires_at=moment).is_over(moment)
    assert not Identity(owner="ada", expires_at=moment).is_over(moment - timedelta(seconds=1))
    assert not Identity(owner="ada").is_over(moment)
