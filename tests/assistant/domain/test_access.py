import re
import secrets
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.access import EVERYTHING, ApiKey, Identity, check_owner, digest, key_id_of, write_key
from assistant.domain.errors import InvalidRequest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_key_is_recognisable_and_says_its_id() -> None:
    token, key_id = write_key(secrets.token_bytes(16), secrets.token_bytes(32))
    assert re.fullmatch(r"va_[0-9A-Za-z]{61}", token)
    assert key_id_of(token) == key_id == token[3:15]


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_all_256_bits_of_the_secret_are_in_the_key(one: bytes, other: bytes) -> None:
    assert (write_key(b"a name", one)[0] == write_key(b"a name", other)[0]) == (one == other)


@given(st.integers(3, 63), st.sampled_from(string.ascii_letters + string.digits))
def test_one_wrong_letter_makes_it_no_key(place: int, letter: str) -> None:
    token, _ = write_key(b"0123456789abcdef", bytes(range(32)))
    changed = token[:place] + letter + token[place + 1 :]
    assert (key_id_of(changed) is None) == (changed != token)


def test_what_is_kept_of_a_key_holds_no_secret_and_knows_the_key() -> None:
    token, key_id = write_key(secrets.token_bytes(16), secrets.token_bytes(32))
    key = ApiKey(key_id=key_id, digest=digest(token), name="laptop", owner="ada", scopes=EVERYTHING, created_at=NOW)
    assert ApiKey.model_validate_json(key.to_json()) == key
    assert token[15:58] not in key.to_json()
    assert key.is_of(token)
    assert not key.is_of(f"{token[:-1]}x")
    assert not key.is_of("\udcff")
    assert key.identity() == Identity(owner="ada", scopes=EVERYTHING, key_id=key_id)


def test_chat_contains_read() -> None:
    assert Identity(owner="ada", scopes=frozenset({"chat"})).may("read")
    assert not Identity(owner="ada", scopes=frozenset({"read"})).may("chat")


@pytest.mark.parametrize("owner", ["ada", "ada@example.org", "jwt:a%7Db", "x" * 256])
def test_owners(owner: str) -> None:
    assert check_owner(owner) == owner


@pytest.mark.parametrize("owner", ["", "a b", "a}b", "{a", "a\n", "ada\n", "Zoë", "x" * 257, "a*"])
def test_no_owners(owner: str) -> None:
    with pytest.raises(InvalidRequest, match="An owner is 1 to 256"):
        check_owner(owner)
