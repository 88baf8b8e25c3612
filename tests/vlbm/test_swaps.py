"""Questions and wrong pictures: grouped as the field has them, deranged, and refused where nothing is to swap with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlbm.data.records import Example
from vlbm.errors import EvaluationError
from vlbm.evaluation.confidence import Interval
from vlbm.evaluation.exam import make_exam
from vlbm.evaluation.figures import Figure, estimates
from vlbm.evaluation.nearest import known, nearest
from vlbm.evaluation.questions import Group, questions
from vlbm.evaluation.swaps import deranged, other_meanings


def shown(name: str, target: str = "a brown cat", **more: str) -> Example:
    return Example((Path(name),), target, **more)  # type: ignore[arg-type]


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=40), st.integers(0, 3))
def test_a_derangement_gives_each_place_once_and_never_its_own_key(keys: list[str], seed: int) -> None:
    if 2 * Counter(keys).most_common(1)[0][1] > len(keys):
        with pytest.raises(EvaluationError, match=f"of {len(keys)} questions show the same"):
            deranged(keys, seed)
        return
    order = deranged(keys, seed)
    assert sorted(order) == list(range(len(keys)))
    assert all(keys[place] != keys[other] for place, other in enumerate(order))
    assert order == deranged(keys, seed)


def test_other_seeds_swap_otherwise() -> None:
    keys = [str(number) for number in range(40)]
    assert deranged(keys, 0) != deranged(keys, 1)


def test_captions_of_one_picture_are_one_question() -> None:
    found = questions([shown("1"), shown("2"), shown("1", "b"), shown("1", "b"), shown("1", "c", language="de")])
    assert [(q.example.pictures[0].name, q.references) for q in found] == [
        ("1", ("a brown cat", "b")),
        ("2", ("a brown cat",)),
        ("1", ("c",)),
    ]
    assert [q.group.name for q in found] == ["caption (en)", "caption (en)", "caption (de)"]


def test_the_other_meaning_is_the_counterparts_picture() -> None:
    pairs = [
        shown("1", "animal", text="bat", wrong="club"),
        shown("2", "club", text="bat", wrong="animal"),
        shown("3", "club", text="bat", wrong="animal"),
        shown("4", "tree", text="palm", wrong="hand"),
        shown("5", "animal", text="bat", wrong="club"),
    ]
    found = [pictures and pictures[0].name for pictures in other_meanings(pairs)]
    assert found == ["2", "1", "5", None, "3"]


def test_what_cannot_be_swapped_is_left_out() -> None:
    exam = make_exam([shown("1"), shown("2", "b"), shown("3", "c", language="zh")], {Path(n): n for n in "123"}, 0)
    groups = [group.name for group in exam.others]
    assert groups == ["caption (en)"]
    assert any("caption (zh): swapped pictures left out: 1 of 1 questions show the same" in w for w in exam.warnings)
    assert any("caption (zh): BLEU, ROUGE-L and CIDEr-D left out" in w for w in exam.warnings)
    same = make_exam([shown("1", "why"), shown("2", "b")], {Path("1"): "x", Path("2"): "x"}, 0)
    assert any("head nouns left out: no reference has a clear one" in warning for warning in same.warnings)
    assert not same.others  # equal bytes under two names are one picture


def test_a_contrast_without_its_counterpart_is_swapped_for_any_other() -> None:
    pairs = [shown(n, n, text=n, wrong="no") for n in "123"]
    exam = make_exam(pairs, {Path(n): n for n in "123"}, 0)
    others = exam.contrasts["en"].others
    assert others
    assert sorted(paths[0].name for paths in others) == ["1", "2", "3"]
    assert any("3 of 3 have no example of the other meaning" in warning for warning in exam.warnings)
    alone = make_exam([pairs[0], Example((), "x", "chat", "hello")], {Path("1"): "1"}, 0)
    assert alone.contrasts["en"].others is None


def test_the_nearest_picture_is_found_without_what_all_share() -> None:
    group = Group("caption", "en", pictured=True)
    common = torch.tensor([100.0, 0.0, 0.0])
    features = {"left": torch.tensor([0.0, 1.0, 0.0]), "right": torch.tensor([0.0, -1.0, 0.2])}
    found = known([(group, common + value, name) for name, value in features.items()])
    asked = torch.stack([common + torch.tensor([0.0, -3.0, 0.0]), common + torch.tensor([0.3, 0.5, 0.0])])
    assert nearest(found[group], asked) == ["right", "left"]


def test_seeds_with_one_value_keep_its_own_interval() -> None:
    def one(value: float) -> list[Figure]:
        return [Figure("t", "w", "m", Interval(value, value - 1, value + 1), "wilson")]

    same = estimates([one(5), one(5)])[0]
    assert (same.figure.interval, same.figure.method, same.values) == (Interval(5, 4, 6), "wilson", (5, 5))
    apart = estimates([one(4), one(6)])[0].figure
    assert (apart.interval.value, apart.method) == (5, "student over seeds")
