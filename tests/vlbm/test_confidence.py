"""Intervals against published values, and what they must do for any numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlbm.evaluation.confidence import Interval, bootstrap_mean, over_seeds, student, wilson


def test_wilson_against_a_published_value() -> None:
    """Newcombe 1998, table I: 81 of 263 has 0.2553 to 0.3662, and 0 of 20 has 0 to 0.1611."""
    found = wilson(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    found = wilson(0, 20)
    assert (found.low, round(found.high, 4)) == (0, 0.1611)


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_a_share_lies_in_its_interval(numbers: tuple[int, int]) -> None:
    found = wilson(*numbers)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high > found.low


def test_bootstrap_agrees_with_the_normal_interval() -> None:
    values = [float(n % 10) for n in range(400)]
    found = bootstrap_mean(values, seed=1)
    half = 1.96 * 2.8723 / 20
    assert found.value == 4.5
    assert found.low == pytest.approx(4.5 - half, abs=0.03)
    assert found.high == pytest.approx(4.5 + half, abs=0.03)
    assert bootstrap_mean(values, seed=1) == found


def test_equal_values_have_no_width() -> None:
    assert bootstrap_mean([2.0] * 5, seed=0, resamples=10) == Interval(2.0, 2.0, 2.0)


def test_over_seeds_by_hand() -> None:
    found = over_seeds([1.0, 2.0, 3.0])
    assert found.value == 2
    assert found.high - 2 == pytest.approx(4.302652729911275 / 3**0.5)
    assert str(Interval(0.5, 0.25, 0.75)) == "0.5 [0.25, 0.75]"


def test_students_t_is_tabled_and_expanded() -> None:
    assert student(10) == pytest.approx(2.2281, abs=1e-4)
    assert student(11) == pytest.approx(2.2010, abs=1e-3)
    assert student(30) == pytest.approx(2.0423, abs=1e-4)


def test_what_has_no_interval_is_said() -> None:
    with pytest.raises(ValueError, match="at least 1 value"):
        bootstrap_mean([], seed=0)
    with pytest.raises(ValueError, match="1 of 2 values are not finite"):
        bootstrap_mean([1.0, float("nan")], seed=0)
    with pytest.raises(ValueError, match="resamples must be at least 1"):
        bootstrap_mean([1.0], seed=0, resamples=0)
    with pytest.raises(ValueError, match="at least 2 of them, not 1"):
        over_seeds([1.0])
    with pytest.raises(ValueError, match="at least 1 picture"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="3 hits of 2"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="1 degree"):
        student(0)
