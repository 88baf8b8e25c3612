"""Where what owners teach is kept, and what engines make of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from assistant.domain.memories import Memory


@dataclass(frozen=True, slots=True)
class Style:
    """What an engine made of a taught picture, and which encoder looked."""

    encoder: str
    data: bytes


class MemoryStore(Protocol):
    """Keeps what owners have taught. What is not the owner's is not there."""

    async def add(self, owner: str, memory: Memory) -> int:
        """Keep a memory in the place of the one with its id, if there is one; what was made of it is void.

        Returns:
            How many there are now.

        Raises:
            LimitReached: the owner has as many as are kept.
        """

    async def memories(self, owner: str) -> list[Memory]:
        """All of them, in the order in which they were taught."""

    async def remove(self, owner: str, memory_ids: Sequence[str]) -> int:
        """Forget memories and all that was made of them. How many there were."""

    async def styles(self, owner: str) -> dict[str, Style]:
        """What was made of the memories so far, by their id; it is for use in an answer, and counts as one."""

    async def learn(self, owner: str, memory_id: str, style: Style) -> None:
        """Keep what was made of a memory, unless it has been forgotten meanwhile."""
