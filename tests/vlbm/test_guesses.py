"""Guesses from the text itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vlbm.engine.guesses import guess


def test_it_guesses_what_followed_the_last_time() -> None:
    assert guess([1, 2, 3, 9, 8, 7, 6, 5, 1, 2, 3], 4) == [9, 8, 7, 6]
    assert guess([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], 9) == [5, 1, 2, 3]


def test_what_was_never_said_is_not_guessed() -> None:
    assert guess([1, 2, 3, 4], 4) == []
    assert guess([1, 2], 4) == []
    assert guess([1, 2, 3, 4, 1, 2, 3], 0) == []


@given(st.lists(st.integers(0, 2), max_size=30))
def test_a_guess_followed_the_same_words(tokens: list[int]) -> None:
    found = guess(tokens, 4)
    if found:
        text = [*tokens[-3:], *found]
        assert any(tokens[n : n + len(text)] == text for n in range(len(tokens)))
