"""Pages of the cache: what begins alike is shared, what is used is never given away, and what was used last stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vlbm.engine.paged import _marks
from vlbm.engine.pages import Pages, digest
from vlbm.engine.passes import PAGE
from vlbm.engine.reader import Memories


def digests(tokens: Sequence[int], size: int) -> list[bytes]:
    """Of each full page."""
    marks: list[bytes] = []
    for end in range(size, len(tokens) + 1, size):
        marks.append(digest(marks[-1] if marks else b"", tokens[end - size : end]))
    return marks


@pytest.mark.parametrize("over", [True, False])
def test_a_beginning_is_known_once_it_is_read_and_when_its_turn_is_over(over: bool) -> None:
    pages = Pages(4)
    marks = digests(range(8), 4)
    used = pages.take(2)
    assert pages.known(marks) == []
    for page, mark in zip(used, marks, strict=True):
        pages.fill(page, mark)
    if over:
        pages.release(used)
        assert pages.available == 4
    assert pages.known(digests([*range(4), 9, 9, 9, 9], 4)) == used[:1]
    assert pages.available == (3 if over else 2)


def test_what_went_wrong_is_not_begun_with() -> None:
    pages = Pages(2)
    used = pages.take(2)
    pages.fill(used[0], b"a")
    assert pages.known([b"a"]) == used[:1]  # another turn
    pages.forget(used)
    pages.release(used)
    assert pages.known([b"a"]) == []
    assert pages.available == 1
    pages.release(used[:1])
    assert pages.available == 2


def test_what_was_used_longest_ago_is_given_away_first() -> None:
    pages = Pages(2)
    for number in (1, 2):
        (page,) = pages.take(1)
        pages.fill(page, bytes([number]))
        pages.release([page])
    pages.release(pages.known([b"\1"]))
    pages.release(pages.take(1))
    assert len(pages.known([b"\1"])) == 1
    assert pages.known([b"\2"]) == []


def test_of_one_text_the_end_is_given_away_first() -> None:
    pages = Pages(3)
    used = pages.take(3)
    for page, mark in zip(used, b"abc", strict=True):
        pages.fill(page, bytes([mark]))
    pages.release(used)
    pages.take(1)
    assert pages.known([b"a", b"b", b"c"]) == used[:2]


def test_too_many_are_refused_and_nothing_is_taken() -> None:
    pages = Pages(2)
    with pytest.raises(ValueError, match="3 pages were asked for, 2 are free"):
        pages.take(3)
    assert pages.available == 2


def test_a_digest_is_of_all_that_stands_before() -> None:
    assert digests([1, 2, 3, 4], 2)[1] != digests([9, 2, 3, 4], 2)[1]
    assert digests([1, 2, 3, 4], 2)[0] == digests([1, 2, 9, 9], 2)[0]
    assert len(digests(range(7), 2)) == 3


def test_a_picture_tells_pages_apart_from_where_it_is_seen() -> None:
    tokens, start = list(range(4 * PAGE)), 2 * PAGE + 5
    bare = _marks([], tokens, None)
    one, other = (_marks([], tokens, Memories((), start, key)) for key in ("one", "other"))
    assert bare[:2] == one[:2] == other[:2]
    assert len({bare[2], one[2], other[2]}) == 3
    assert _marks([], tokens, Memories((), start - 1, "one"))[2] != one[2]
    assert _marks(one[:1], tokens, Memories((), start, "one")) == one


class Sharing(RuleBasedStateMachine):
    """Turns of few tokens come and go; a model says what each page holds."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = Pages(6)
        self.held: dict[int, bytes] = {}
        self.turns: list[tuple[list[int], list[bytes]]] = []

    @rule(tokens=st.lists(st.integers(0, 1), min_size=2, max_size=8))
    def begin(self, tokens: list[int]) -> None:
        marks = digests(tokens, 2)
        known = self.pages.known(marks)
        assert [self.held[page] for page in known] == marks[: len(known)]
        need = len(marks) - len(known)
        if need > self.pages.available:
            self.pages.release(known)
            return
        taken = self.pages.take(need)
        used = {page for turn in self.turns for page in turn[0]}
        assert not used & set(taken)
        self.held.update(zip(taken, marks[len(known) :], strict=True))
        self.turns.append((known + taken, marks))

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def read(self, data: Any) -> None:
        pages, marks = data.draw(st.sampled_from(self.turns))
        for page, mark in zip(pages, marks, strict=True):
            self.pages.fill(page, mark)

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def end(self, data: Any) -> None:
        pages, _ = self.turns.pop(data.draw(st.integers(0, len(self.turns) - 1)))
        if data.draw(st.booleans()):
            self.pages.forget(pages)
        self.pages.release(pages)

    @invariant()
    def nothing_is_lost(self) -> None:
        used = {page for turn in self.turns for page in turn[0]}
        assert self.pages.available == self.pages.count - len(used)


TestSharing = Sharing.TestCase
TestSharing.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
