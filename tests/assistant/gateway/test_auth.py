import pytest

from assistant.domain.errors import InvalidRequest
from assistant.gateway import auth


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
def test_names_of_this_machine_may_be_asked(host: str) -> None:
    assert auth.host_is_allowed(host, "loopback")


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8000", "localhost@evil.example", "192.168.1.5:8000", "127.0.0.1.evil.example"],
)
def test_a_rebound_name_may_not_be_asked(host: str) -> None:
    assert not auth.host_is_allowed(host, "loopback")
    assert auth.host_is_allowed(host, "anywhere")


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
    ],
)
def test_only_pages_of_this_origin_may_connect(origin: str | None, host: str, allowed: bool) -> None:
    assert auth.origin_is_allowed(origin, host) is allowed


@pytest.mark.parametrize("host", ["[", "[x]", "[::1"])
def test_a_host_that_is_none_is_not_allowed(host: str) -> None:
    assert not auth.host_is_allowed(host, "loopback")


@pytest.mark.parametrize("origin", ["http://[", "http://[x]", "http://\udcff"])
def test_an_origin_that_is_none_is_not_allowed(origin: str) -> None:
    assert not auth.origin_is_allowed(origin, "127.0.0.1:8000")


def test_anonymous_clients_of_this_machine_are_one_owner() -> None:
    assert auth.authenticate(None, "127.0.0.1", "loopback") == auth.authenticate(None, "::1", "loopback")
    assert auth.authenticate(None, "10.0.0.1", "anywhere") == auth.ANONYMOUS_OWNER


def test_anonymous_clients_of_other_machines_are_told_what_to_do() -> None:
    with pytest.raises(InvalidRequest, match="ASSISTANT_ANONYMOUS") as refused:
        auth.authenticate(None, "10.0.0.1", "loopback")
    assert refused.value.code == "auth_required"


@pytest.mark.parametrize("token", ["", "x", "a-real-looking-token"])
@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1"])
def test_a_token_is_never_taken_for_anonymous_and_never_repeated(token: str, address: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        auth.authenticate(token, address, "anywhere")
    assert refused.value.code == "auth_invalid"
    assert "a-real-looking-token" not in refused.value.message
