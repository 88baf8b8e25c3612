"""Who runs next: fair between owners, in order within one, nobody overtaken, nobody beyond the seats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlbm.engine.scheduler import Place, Scheduler
from vlbm.errors import EngineBusy


def placed(scheduler: Scheduler[str], *names: str, tokens: int = 1) -> list[Place[str]]:
    """Turns called after their owner and a number: a1, a2, b1."""
    places = [Place(name, name[0], tokens) for name in names]
    for place in places:
        scheduler.submit(place)
    return places


def let_in(scheduler: Scheduler[str], room: int = 99) -> list[str]:
    left = [room]
    names = []
    for place in scheduler.admit(lambda tokens: tokens <= left[0]):
        left[0] -= place.tokens
        names.append(place.turn)
    return names


def test_an_owner_with_many_turns_does_not_keep_others_waiting() -> None:
    scheduler: Scheduler[str] = Scheduler(seats=3, queue=9)
    placed(scheduler, "a1", "a2", "a3", "b1", "c1")
    assert let_in(scheduler) == ["a1", "b1", "c1"]


def test_first_come_first_served_within_an_owner() -> None:
    scheduler: Scheduler[str] = Scheduler(seats=2, queue=9)
    placed(scheduler, "a1", "a2", "a3")
    assert let_in(scheduler) == ["a1", "a2"]


def test_a_long_turn_is_not_overtaken_by_short_ones() -> None:
    scheduler: Scheduler[str] = Scheduler(seats=3, queue=9)
    (long,) = placed(scheduler, "a1", tokens=50)
    placed(scheduler, "b1")
    assert let_in(scheduler, room=10) == []
    assert scheduler.line()[0] is long
    assert let_in(scheduler, room=60) == ["a1", "b1"]


def test_a_full_queue_says_so() -> None:
    scheduler: Scheduler[str] = Scheduler(seats=1, queue=2)
    placed(scheduler, "a1", "a2")
    with pytest.raises(EngineBusy, match="2 turns wait already"):
        placed(scheduler, "b1")


def test_positions_count_down_as_turns_leave() -> None:
    scheduler: Scheduler[str] = Scheduler(seats=1, queue=9)
    first, second, other = placed(scheduler, "a1", "a2", "b1")
    let_in(scheduler)
    assert scheduler.line() == [other, second]
    scheduler.leave(first)
    scheduler.leave(first)
    assert let_in(scheduler) == ["a2"]
    assert scheduler.line() == [other]


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 4))
def test_everybody_gets_a_seat_in_the_end(owners: list[str], seats: int) -> None:
    scheduler: Scheduler[str] = Scheduler(seats=seats, queue=99)
    names = [f"{owner}{number}" for number, owner in enumerate(owners)]
    placed(scheduler, *names)
    served = list[str]()
    while scheduler.waiting or scheduler.running:
        served += let_in(scheduler)
        assert len(scheduler.running) <= seats
        scheduler.leave(scheduler.running[0])
    assert sorted(served) == sorted(names)
    for owner in "abc":
        own = [name for name in served if name[0] == owner]
        assert own == [name for name in names if name[0] == owner]
