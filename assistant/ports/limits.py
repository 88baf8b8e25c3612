"""Where it is counted what owners take."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from assistant.domain.limits import Allowance, Allowances, Resource, Standing
from assistant.ports.conversations import Bell


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that is to count as running until it is settled, and the tokens that it takes in advance."""

    turn_id: str
    tokens: int


class LimitStore(Protocol):
    """Counts of owners, shared by all gateways and workers."""

    async def take(
        self,
        owner: str,
        amounts: Mapping[Resource, int],
        allowances: Allowances,
        turn: Turn | None = None,
    ) -> None:
        """Take from several buckets at once, or from none; what has no allowance is not counted.

        Args:
            amounts: negative ones are given back.
            turn: counts as running from now on.

        Raises:
            LimitReached: one of them holds too little, or too many turns run. ``retry_after`` is when all of them will
                hold enough, or when to ask again; there is none where one is never to hold so much.
        """

    async def settle(self, owner: str, turn_id: str, tokens: int | None, *, refund: bool = False) -> None:
        """A turn has ended, and this is what it generated; what was taken in advance beyond that is given back.

        Once: settled again, nothing happens. A turn that nobody settles stops counting as running after an hour, and
        its tokens come back as all do.

        Args:
            tokens: None, where nobody can say it, is as many as were taken in advance.
            refund: it never began: the turn itself is given back too.
        """

    async def standing(self, owner: str, buckets: Mapping[Resource, Allowance]) -> Standing:
        """What is left now."""

    async def hold_sockets(self, owner: str, gateway: str, count: int, most: int) -> None:
        """This gateway has so many sockets of the owner, for as long as a lease; 0 gives the lease back.

        Raises:
            LimitReached: with those of other gateways there are more than ``most`` (0: any number); nothing changed.
        """

    def watch(self, owner: str) -> AbstractAsyncContextManager[Bell]:
        """A bell that rings when something was taken or given back."""
