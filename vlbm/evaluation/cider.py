"""CIDEr-D: how much of what is particular to a picture's references a caption says.

After Vedantam, Zitnick and Parikh, "CIDEr: Consensus-based Image Description Evaluation" (2015), in the D variant of
its section 6, with counts as in the authors' published program (not divided by the text's length) and without
stemming. It knows texts, not pictures or models.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from vlbm.errors import EvaluationError
from vlbm.evaluation.words import Ngram, ngrams, words

ORDERS = (1, 2, 3, 4)
SIGMA = 6.0  # words; the width of the penalty for another length than the reference's
SCALE = 10.0
FEWEST = 50  # pictures, below which idf says little about how particular a word is


@dataclass(frozen=True, slots=True)
class _Vector:
    """A text: for each order the weights of its n-grams and their Euclidean norm, and its length in words."""

    weights: tuple[dict[Ngram, float], ...]
    norms: tuple[float, ...]
    length: int


def cider_d(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """CIDEr-D of each picture's caption, from 0 to 10; the corpus's value is their mean.

    A text equal to its only reference has 10 if it has an n-gram with idf above 0 at every order, and a quarter less
    for each order at which it has none.

    Args:
        hypotheses: one caption for each picture.
        references: for each picture at least one caption; idf is over all of them.

    Raises:
        EvaluationError: lengths differ, a picture has no reference, or there are fewer than 50 pictures.
    """
    if len(hypotheses) != len(references):
        raise EvaluationError(f"{len(hypotheses)} hypotheses but references for {len(references)} pictures")
    if len(references) < FEWEST:
        raise EvaluationError(
            f"CIDEr needs at least {FEWEST} pictures and got {len(references)}: "
            "its idf means nothing over so few, use BLEU, chrF or ROUGE-L"
        )
    empty = [number for number, texts in enumerate(references) if not texts]
    if empty:
        raise EvaluationError(f"picture {empty[0]} has no reference: give each at least 1")
    counted = [[_count(text) for text in texts] for texts in references]
    idf = _idf(counted)
    scores = []
    for hypothesis, texts in zip(hypotheses, counted, strict=True):
        mine = _vector(_count(hypothesis), idf, len(references))
        scores.append(sum(_similarity(mine, _vector(text, idf, len(references))) for text in texts) / len(texts))
    return scores


def _count(text: str) -> tuple[Counter[Ngram], ...]:
    """The n-grams of a text at each order."""
    tokens = words(text)
    return tuple(ngrams(tokens, order) for order in ORDERS)


def _idf(counted: list[list[tuple[Counter[Ngram], ...]]]) -> dict[Ngram, float]:
    """log(pictures / pictures with the n-gram in any reference), the paper's equation 1."""
    pictures: Counter[Ngram] = Counter()
    for texts in counted:
        pictures.update({ngram for orders in texts for counts in orders for ngram in counts})
    return {ngram: math.log(len(counted) / having) for ngram, having in pictures.items()}


def _vector(orders: tuple[Counter[Ngram], ...], idf: dict[Ngram, float], pictures: int) -> _Vector:
    """Counts times idf; an n-gram that no reference has counts as if 1 picture had it."""
    unseen = math.log(pictures)
    weights = tuple({ngram: count * idf.get(ngram, unseen) for ngram, count in counts.items()} for counts in orders)
    norms = tuple(math.sqrt(sum(weight * weight for weight in order.values())) for order in weights)
    return _Vector(weights, norms, orders[0].total())


def _similarity(mine: _Vector, theirs: _Vector) -> float:
    """Mean over the orders of the clipped cosine, times the length's Gaussian and 10: the paper's equation 4."""
    total = 0.0
    for order in range(len(ORDERS)):
        norm = mine.norms[order] * theirs.norms[order]
        if norm:
            other = theirs.weights[order]
            shared = (
                min(weight, other[ngram]) * other[ngram]
                for ngram, weight in mine.weights[order].items()
                if ngram in other
            )
            total += sum(shared) / norm
    penalty = math.exp(-((mine.length - theirs.length) ** 2) / (2 * SIGMA**2))
    return SCALE * penalty * total / len(ORDERS)
