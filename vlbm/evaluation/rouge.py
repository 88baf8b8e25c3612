"""ROUGE-1, ROUGE-2 and ROUGE-L of one text against its references.

After Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), without stemming and stop words. Of several
references the one with the best F1 counts. It knows single texts, not a corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlbm.errors import EvaluationError
from vlbm.evaluation.words import ngrams, words


@dataclass(frozen=True, slots=True)
class Rouge:
    """Overlap of a hypothesis with a reference, as shares from 0 to 1.

    Attributes:
        precision: overlap over what the hypothesis has.
        recall: overlap over what the reference has; ROUGE-N as Lin defined it.
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of both: Lin's F with beta 1."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def rouge_n(hypothesis: str, references: Sequence[str], order: int) -> Rouge:
    """ROUGE-N: shared runs of `order` words, each counted as often as both texts have it (Lin 2004, section 2).

    Raises:
        EvaluationError: there is no reference.
    """
    mine = ngrams(words(hypothesis), order)
    found = []
    for reference in references:
        theirs = ngrams(words(reference), order)
        found.append(_shares((mine & theirs).total(), mine.total(), theirs.total()))
    return _best(found)


def rouge_l(hypothesis: str, references: Sequence[str]) -> Rouge:
    """ROUGE-L: the longest common subsequence of words, for texts of one sentence (Lin 2004, section 3.1).

    Raises:
        EvaluationError: there is no reference.
    """
    mine = words(hypothesis)
    found = []
    for reference in references:
        theirs = words(reference)
        found.append(_shares(longest_common(mine, theirs), len(mine), len(theirs)))
    return _best(found)


def longest_common(first: list[str], second: list[str]) -> int:
    """Length, in words, of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = row
        row = [0]
        for at, other in enumerate(second):
            row.append(before[at] + 1 if word == other else max(row[at], before[at + 1]))
    return row[-1]


def _shares(overlap: int, mine: int, theirs: int) -> Rouge:
    return Rouge(overlap / mine if mine else 0.0, overlap / theirs if theirs else 0.0)


def _best(found: list[Rouge]) -> Rouge:
    if not found:
        raise EvaluationError("a text without a reference cannot be scored: give each at least 1")
    return max(found, key=lambda rouge: (rouge.f1, rouge.recall))
