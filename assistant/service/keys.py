"""API keys: make, list and revoke them. Whoever may do this is decided by whoever may reach the store."""

import secrets
from collections.abc import Collection
from datetime import timedelta

from assistant.domain.access import ApiKey, Scope, check_owner, digest, key_id_of, write_key
from assistant.domain.errors import InvalidRequest, NotFound
from assistant.ports.keys import KeyStore
from assistant.ports.surroundings import Clock

MOST_CHARACTERS = 100


class Keys:
    """What an operator may do with the keys."""

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self, owner: str, name: str, scopes: Collection[Scope], lifetime: timedelta | None
    ) -> tuple[str, ApiKey]:
        """Make a key: the key itself, which is shown now or never, and what is kept of it.

        Raises:
            InvalidRequest: the owner or the name is none.
        """
        check_owner(owner)
        if not name.strip() or len(name) > MOST_CHARACTERS or not name.isprintable():
            raise InvalidRequest("key_name_invalid", f"A key's name is 1 to {MOST_CHARACTERS} printable characters.")
        token, key_id = write_key(secrets.token_bytes(16), secrets.token_bytes(32))
        now = self._clock.now()
        key = ApiKey(
            key_id=key_id,
            digest=digest(token),
            name=name,
            owner=owner,
            scopes=frozenset(scopes),
            created_at=now,
            expires_at=now + lifetime if lifetime else None,
        )
        await self._store.add(key)
        return token, key

    async def all(self) -> list[ApiKey]:
        """All keys that are not revoked, in the order in which they were made."""
        return await self._store.all()

    async def revoke(self, name: str) -> ApiKey:
        """Revoke the key of an id, or of a name that only one key has, or a whole key that was found somewhere.

        Raises:
            NotFound: there is none.
            InvalidRequest: several keys have this name.
        """
        kept, key_id = await self._store.all(), key_id_of(name) or name
        meant = [key for key in kept if key.key_id == key_id] or [key for key in kept if key.name == name]
        if len(meant) > 1:
            ids = ", ".join(key.key_id for key in meant)
            raise InvalidRequest("key_name_ambiguous", f"Several keys have this name: give one of the ids {ids}.")
        if not meant or not await self._store.revoke(meant[0].key_id):
            raise NotFound("key_not_found", "There is no such key: `assistant keys list` has those that there are.")
        return meant[0]
