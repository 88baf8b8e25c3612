"""Scores of texts: values known by hand or by definition, and refusals that say the numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlbm.errors import EvaluationError
from vlbm.evaluation.cider import cider_d
from vlbm.evaluation.nouns import head_noun_accuracy, reference_head
from vlbm.evaluation.rouge import longest_common, rouge_l, rouge_n
from vlbm.evaluation.scores import score
from vlbm.evaluation.words import words

APART = [[f"one{n} two{n} three{n} four{n} five{n}"] for n in range(50)]
TEXTS = st.lists(st.sampled_from(["a", "cat", "on", "mats"]), max_size=8)


def test_equal_texts_have_the_highest_scores() -> None:
    found = {row.name: row for row in score([texts[0] for texts in APART], APART)}
    assert {name: round(row.value, 6) for name, row in found.items()} == {
        "BLEU": 100,
        "chrF": 100,
        "ROUGE-L": 100,
        "CIDEr-D": 10,
    }
    assert all("version:" in row.signature and "nrefs:1" in row.signature for row in found.values())
    assert "tok:13a" in found["BLEU"].signature
    assert all(row.interval.low == pytest.approx(row.interval.high) for row in found.values())


def test_scores_have_the_intervals_of_a_bootstrap() -> None:
    hypotheses = [texts[0] if n % 2 else "something else here today" for n, texts in enumerate(APART)]
    found = score(hypotheses, APART, seed=3)
    assert [row.name for row in found] == ["BLEU", "chrF", "ROUGE-L", "CIDEr-D"]
    for row in found:
        assert row.interval.low < row.value < row.interval.high
    assert found == score(hypotheses, APART, seed=3)


def test_a_resample_without_any_match_has_its_interval() -> None:
    found = {row.name: row.interval for row in score(["a b c d e", "z"], [["a b c d e"], ["f g h i j"]])}
    assert found["BLEU"].low == 0
    assert found["BLEU"].high == 100


def test_other_texts_have_none() -> None:
    strangers = [f"un{n} deux{n} trois{n} quatre{n}" for n in range(50)]
    assert cider_d(strangers, APART) == [0.0] * 50


def test_cider_by_hand() -> None:
    """Of five words one differs: 4 of 5 unigrams, 3 of 4 bigrams, 2 of 3 trigrams, 1 of 2 four-grams, all one idf."""
    hypotheses = [texts[0] for texts in APART]
    hypotheses[0] = "one0 two0 three0 four0 other"
    wanted = 10 * (4 / 5 + 3 / 4 + 2 / 3 + 1 / 2) / 4
    assert cider_d(hypotheses, APART)[0] == pytest.approx(wanted)
    hypotheses[0] = "one0 two0 three0 four0"  # too short by a word
    wanted = math.exp(-1 / 72) * 10 * (4 / 20**0.5 + 3 / 12**0.5 + 2 / 6**0.5 + 1 / 2**0.5) / 4
    assert cider_d(hypotheses, APART)[0] == pytest.approx(wanted)


def test_words_that_every_picture_has_count_nothing_in_cider() -> None:
    common = [["a a a a a"]] * 50
    assert cider_d(["a a a a a"] * 50, common) == [0.0] * 50


def test_cider_refuses_what_is_too_small() -> None:
    with pytest.raises(EvaluationError, match="at least 50 pictures and got 49"):
        cider_d(["a"] * 49, APART[:49])
    assert "CIDEr-D" not in {row.name for row in score(["a"] * 49, APART[:49])}


def test_rouge_by_hand() -> None:
    found = rouge_l("the cat the mat", ["the cat sat on the mat"])
    assert (found.precision, found.recall) == (1.0, 4 / 6)
    assert found.f1 == pytest.approx(0.8)
    assert rouge_n("the the cat", ["the cat sat"], 1).precision == pytest.approx(2 / 3)
    assert rouge_n("the cat sat", ["the cat ran", "a dog"], 2).recall == pytest.approx(1 / 2)
    assert rouge_l("", ["a"]).f1 == 0


@given(TEXTS, TEXTS)
def test_longest_common_is_symmetric_and_bounded(first: list[str], second: list[str]) -> None:
    length = longest_common(first, second)
    assert length == longest_common(second, first) <= min(len(first), len(second))
    assert longest_common(first, first + second) == len(first)


def test_several_references_of_different_number() -> None:
    found = {row.name: row for row in score(["a red hen", "a fox"], [["a red hen", "a hen"], ["a fox"]])}
    assert found["chrF"].value == pytest.approx(100)
    assert "nrefs:var" in found["ROUGE-L"].signature


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a"], [["a"], ["b"]], "1 hypotheses but references for 2"),
        ([], [], "0 hypotheses"),
        (["a"], [[]], "picture 0 has no reference"),
        (["a"], ["a"], "picture 0 are one text"),
    ],
)
def test_what_cannot_be_scored_is_said(hypotheses: list[str], references: list[list[str]], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        score(hypotheses, references)


def test_cider_and_rouge_refuse_the_same() -> None:
    with pytest.raises(EvaluationError, match="1 hypotheses"):
        cider_d(["a"], APART)
    with pytest.raises(EvaluationError, match="picture 3 has no reference"):
        cider_d(["a"] * 50, [*APART[:3], [], *APART[4:]])
    with pytest.raises(EvaluationError, match="without a reference"):
        rouge_l("a", [])


def test_head_nouns() -> None:
    found = head_noun_accuracy(
        ["I see two hens.", "It is a fox.", "Nothing."], ["A brown hen.", "A cat.", "so many things to see here"]
    )
    assert (found.hits, found.counted, found.left_out) == (1, 2, 1)
    assert found.share.value == 0.5
    assert reference_head("a glass of water") == "water"
    with pytest.raises(EvaluationError, match="none of 1 references"):
        head_noun_accuracy(["a"], ["why"])
    with pytest.raises(EvaluationError, match="1 hypotheses but 2"):
        head_noun_accuracy(["a"], ["A cat.", "A dog."])


def test_words_are_lower_case_without_punctuation() -> None:
    assert words("The dog's BALL, über-rot!") == ["the", "dog's", "ball", "über", "rot"]
