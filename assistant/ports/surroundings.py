"""What else the service needs of the world: the time, and whether what it stands on and who works for it is there."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The time in UTC."""


class Health(Protocol):
    """Whether what the service stands on is there."""

    async def problem(self) -> str | None:
        """What is wrong, in a few words, or None."""

    async def workers(self) -> int | None:
        """How many workers there are; None where that cannot be told."""
