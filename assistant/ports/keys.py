"""Where API keys are kept."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from assistant.domain.access import ApiKey
from assistant.ports.conversations import Bell


class KeyStore(Protocol):
    """Keeps API keys, each until it is revoked."""

    async def add(self, key: ApiKey) -> None:
        """Keep a key."""

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of an id, expired or not; None where there is none (any more)."""

    async def all(self) -> list[ApiKey]:
        """All keys, in the order in which they were made."""

    async def revoke(self, key_id: str) -> bool:
        """Forget a key, and ring at every gateway. Whether there was one."""

    async def kept(self, key_ids: Collection[str]) -> set[str]:
        """Those of the ids whose keys are still kept."""

    def watch(self) -> AbstractAsyncContextManager[Bell]:
        """A bell that rings when a key is revoked, or when that may have been missed."""
