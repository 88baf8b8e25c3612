"""Which turns run: first come, first served, and fair between owners. Pure; it knows turns by what they ask for.

A turn runs when there is a free seat and room in the cache for all that it may become, so a running turn never waits
for room. Among those that wait, the owner with the fewest running turns is next; among equals, whoever came first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from vlbm.errors import EngineBusy

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Place(Generic[T]):
    """A turn's place.

    Attributes:
        turn: whatever runs.
        owner: whom seats are shared fairly between.
        tokens: of prompt and answer, at most.
    """

    turn: T
    owner: str
    tokens: int


@dataclass(slots=True)
class Scheduler(Generic[T]):
    """Seats, and the queue for them.

    Attributes:
        seats: turns that run together at most.
        queue: turns that wait at most.
    """

    seats: int
    queue: int
    running: list[Place[T]] = field(default_factory=list)
    waiting: list[Place[T]] = field(default_factory=list)

    def submit(self, place: Place[T]) -> None:
        """Wait for a seat.

        Raises:
            EngineBusy: too many do.
        """
        if len(self.waiting) >= self.queue:
            raise EngineBusy(len(self.waiting))
        self.waiting.append(place)

    def admit(self, room: Callable[[int], bool]) -> Iterator[Place[T]]:
        """Give seats to those whose turn it is, while there is room for so many tokens; take it before the next.

        The next in line is not overtaken by a smaller one: a long prompt would wait for ever.
        """
        while self.waiting and len(self.running) < self.seats:
            place = _next(self.waiting, Counter(place.owner for place in self.running))
            if not room(place.tokens):
                return
            self.waiting.remove(place)
            self.running.append(place)
            yield place

    def leave(self, place: Place[T]) -> None:
        """A turn is over, or given up; one that is neither running nor waiting is left alone."""
        for places in (self.running, self.waiting):
            if place in places:
                places.remove(place)

    def line(self) -> list[Place[T]]:
        """Those that wait, in the order in which they would be let in if nobody left."""
        seated = Counter(place.owner for place in self.running)
        left, line = list(self.waiting), list[Place[T]]()
        while left:
            place = _next(left, seated)
            left.remove(place)
            line.append(place)
            seated[place.owner] += 1
        return line


def _next(waiting: list[Place[T]], seated: Counter[str]) -> Place[T]:
    return min(waiting, key=lambda place: seated[place.owner])  # the first of equals
