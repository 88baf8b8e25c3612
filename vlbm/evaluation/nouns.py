"""Head-noun accuracy: the share of texts that name the thing their reference is about.

A reference is a caption such as "A brown hen."; its head noun is found as for the stamps (`vlbm.data.stamps`). It
knows words, not synonyms: a hen called a chicken is a miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlbm.data.stamps import head_noun, noun_phrase
from vlbm.errors import EvaluationError
from vlbm.evaluation.confidence import Interval, wilson
from vlbm.evaluation.photos import named


@dataclass(frozen=True, slots=True)
class HeadNouns:
    """What was counted.

    Attributes:
        hits: texts that name their reference's head noun.
        counted: texts whose reference has a clear head noun.
        left_out: texts whose reference has none.
    """

    hits: int
    counted: int
    left_out: int

    @property
    def share(self) -> Interval:
        """Hits over counted, from 0 to 1, with Wilson's interval."""
        return wilson(self.hits, self.counted)


def head_noun_accuracy(hypotheses: Sequence[str], references: Sequence[str]) -> HeadNouns:
    """Count the texts that have their reference's head noun as a whole word, singular or plural.

    Raises:
        EvaluationError: lengths differ, or no reference has a clear head noun.
    """
    if len(hypotheses) != len(references):
        raise EvaluationError(f"{len(hypotheses)} hypotheses but {len(references)} references")
    heads = [reference_head(reference) for reference in references]
    hits = [named(text, forms(head)) for text, head in zip(hypotheses, heads, strict=True) if head]
    if not hits:
        raise EvaluationError(
            f"none of {len(references)} references has a clear head noun: give captions like 'A hen.'"
        )
    return HeadNouns(hits=sum(hits), counted=len(hits), left_out=len(heads) - len(hits))


def reference_head(reference: str) -> str | None:
    """The head noun of a caption or noun phrase; None if it is unclear what it names."""
    text = reference.strip()
    phrase = noun_phrase(text[:1].upper() + text[1:])
    return (head_noun(phrase) or None) if phrase else None


def forms(head: str) -> tuple[str, ...]:
    """A noun and, where it may be a plural, what it may be the plural of; `named` adds plurals itself."""
    last = head.rpartition("-")[2] or head
    singulars = [last.removesuffix(end) for end in ("s", "es") if last.endswith(end) and not last.endswith("ss")]
    return (last, *(singular for singular in singulars if len(singular) > 2))
