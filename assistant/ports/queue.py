"""How turns reach workers, and what a worker that claimed one may do."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from assistant.domain.events import Event, TurnStatus
from assistant.domain.turns import TurnOptions
from assistant.ports.conversations import Bell
from assistant.ports.engine import EngineInfo


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer one turn, until the lease ends. ``fence`` tells a late writer from the present one.

    ``attempt`` counts claims of the turn from 1, and ``failures`` those of them that were cut off: whoever had them
    neither ended the turn nor gave it back.
    """

    session_id: str
    turn_id: str
    message_id: str
    """The user's message to answer."""
    owner: str
    job_id: str
    fence: int
    attempt: int
    failures: int
    options: TurnOptions
    committed: str
    """Text of the answer that an earlier attempt has sent."""


class LostClaim(Exception):
    """Another worker has the turn now, or it has ended: stop, and write nothing more."""


class TurnQueue(Protocol):
    """Hands turns to workers and takes their answers."""

    async def claim(self, worker: str, engine: EngineInfo, wait: float) -> Claim | None:
        """Take the next turn, or return None after ``wait`` seconds without one. Announces ``turn.started``."""

    async def append(self, claim: Claim, events: Sequence[Event]) -> None:
        """Append events of the running turn and renew the lease.

        Raises:
            LostClaim: the turn is no longer this worker's.
        """

    async def renew(self, claim: Claim) -> None:
        """Renew the lease without an event. Raises ``LostClaim`` as ``append`` does."""

    async def finish(self, claim: Claim, events: Sequence[Event], status: TurnStatus) -> None:
        """Append the last events once, end the turn and let the next of the session begin. May raise ``LostClaim``."""

    async def release(self, claim: Claim, *, cut_off: bool = False) -> None:
        """Give the turn back, to be claimed at once and gone on with from the text so far. May raise ``LostClaim``.

        Args:
            cut_off: the attempt counts as one of the ``failures``, unless the store itself has died since the claim.
        """

    def watch_cancel(self, claim: Claim) -> AbstractAsyncContextManager[Bell]:
        """A bell that rings when this turn is to stop (at once, if it was cancelled before)."""
