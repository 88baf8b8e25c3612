from datetime import timedelta

import pytest

from assistant.domain.access import Scope, digest
from assistant.domain.errors import InvalidRequest, NotFound
from assistant.service.keys import Keys
from tests.assistant.fakes import NOW, FakeKeys, FixedClock

READ: tuple[Scope, ...] = ("read",)
CHAT: tuple[Scope, ...] = ("chat",)


@pytest.fixture
def store() -> FakeKeys:
    return FakeKeys()


@pytest.fixture
def keys(store: FakeKeys) -> Keys:
    return Keys(store, FixedClock())


async def test_a_key_is_kept_by_its_hash_alone(keys: Keys, store: FakeKeys) -> None:
    token, key = await keys.create("ada", "laptop", READ, timedelta(days=2))
    assert (key.owner, key.name, key.scopes) == ("ada", "laptop", frozenset(READ))
    assert (key.created_at, key.expires_at) == (NOW, NOW + timedelta(days=2))
    assert key.digest == digest(token)
    assert await keys.all() == [key] == list(store.kept_keys.values())


async def test_no_two_keys_are_the_same(keys: Keys) -> None:
    made = [await keys.create("ada", "laptop", CHAT, None) for _ in range(50)]
    assert len({token for token, _ in made}) == len({key.key_id for _, key in made}) == 50


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb"])
async def test_a_name_is_printable_and_short(keys: Keys, name: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 100 printable"):
        await keys.create("ada", name, CHAT, None)
    with pytest.raises(InvalidRequest, match="An owner is"):
        await keys.create("a}", "laptop", CHAT, None)


async def test_a_key_is_revoked_by_its_id_its_name_or_itself(keys: Keys) -> None:
    for which in range(3):
        token, key = await keys.create("ada", "laptop", CHAT, None)
        assert await keys.revoke((key.key_id, "laptop", token)[which]) == key
        assert await keys.all() == []


async def test_a_name_that_several_keys_have_revokes_none(keys: Keys) -> None:
    made = [(await keys.create("ada", "laptop", CHAT, None))[1] for _ in range(2)]
    with pytest.raises(InvalidRequest) as refused:
        await keys.revoke("laptop")
    assert all(key.key_id in refused.value.message for key in made)
    assert len(await keys.all()) == 2


async def test_a_key_that_is_not_there(keys: Keys) -> None:
    with pytest.raises(NotFound, match="keys list"):
        await keys.revoke("laptop")
