"""What models are asked and shown: questions in groups, their wrong pictures, and what cannot be measured on them.

It is made once, so that every model of an evaluation gets the same. It knows examples, not models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlbm.data.records import Example
from vlbm.errors import EvaluationError
from vlbm.evaluation.cider import FEWEST
from vlbm.evaluation.nouns import reference_head
from vlbm.evaluation.questions import Group, Question, grouped, questions
from vlbm.evaluation.scores import long_enough_for_bleu
from vlbm.evaluation.swaps import other_meanings, other_pictures

FEW = 30  # questions, below which intervals of a bootstrap are known to be too narrow
# Languages written without spaces: scores that count words between spaces mean nothing there.
SPACELESS = ("zh", "ja", "th", "lo", "km", "my", "yue")

Pictures = tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Contrasts:
    """Examples of one language that have a wrong answer.

    Attributes:
        examples: them.
        others: the pictures of the other meaning for each; None where there are none to swap with.
    """

    examples: tuple[Example, ...]
    others: tuple[Pictures, ...] | None


@dataclass(frozen=True, slots=True)
class Exam:
    """All that is asked.

    Attributes:
        questions: in the file's order.
        groups: the numbers of each group's questions.
        others: for each group the wrong pictures of its questions; a group without a way to swap is not there.
        contrasts: by language.
        warnings: what is left out, and why.
    """

    questions: tuple[Question, ...]
    groups: Mapping[Group, tuple[int, ...]]
    others: Mapping[Group, tuple[Pictures, ...]]
    contrasts: Mapping[str, Contrasts]
    warnings: tuple[str, ...]


def make_exam(examples: Sequence[Example], digests: Mapping[Path, str], seed: int) -> Exam:
    """Make questions and choose wrong pictures.

    Args:
        examples: what is evaluated on.
        digests: of their pictures.
        seed: of the choice.

    Raises:
        EvaluationError: there are fewer than 2 questions.
    """
    asked = questions(examples)
    if len(asked) < 2:
        raise EvaluationError(f"an interval needs at least 2 questions, and there is {len(asked)}: give more examples")
    groups, warnings = grouped(asked), list[str]()
    others: dict[Group, tuple[Pictures, ...]] = {}
    for group, numbers in groups.items():
        warnings += _left_out(group, [asked[number] for number in numbers])
        if group.pictured:
            try:
                others[group] = tuple(other_pictures([asked[n].example for n in numbers], digests, seed))
            except EvaluationError as error:
                warnings.append(f"{group.name}: swapped pictures left out: {error}")
    contrasts = dict[str, Contrasts]()
    for language in dict.fromkeys(example.language for example in examples if _contrast(example)):
        pairs = tuple(example for example in examples if _contrast(example) and example.language == language)
        contrasts[language] = Contrasts(pairs, _swap(pairs, digests, seed, f"contrast ({language})", warnings))
    return Exam(asked, groups, others, contrasts, tuple(warnings))


def measures(score: str, group: Group, asked: Sequence[Question]) -> bool:
    """Whether a score says anything of the group's answers."""
    if score == "CIDEr-D" and group.task != "caption":
        return False
    if score == "BLEU" and not long_enough_for_bleu(text for question in asked for text in question.references):
        return False
    return score == "chrF" or _spaced(group)


def measures_nouns(group: Group) -> bool:
    """Whether head nouns are looked for: in English captions."""
    return group.task == "caption" and group.language.partition("-")[0].lower() == "en"


def _spaced(group: Group) -> bool:
    return group.language.partition("-")[0].lower() not in SPACELESS


def _contrast(example: Example) -> bool:
    return bool(example.wrong and example.pictures)


def _left_out(group: Group, asked: Sequence[Question]) -> list[str]:
    """What the group is too small or of the wrong kind for."""
    found = []
    if len(asked) < FEW:
        found.append(f"{group.name}: only {len(asked)} questions; intervals over fewer than {FEW} are too narrow")
    if not _spaced(group):
        found.append(
            f"{group.name}: BLEU, ROUGE-L and CIDEr-D left out: they count words between spaces, read chrF instead"
        )
        return found
    if not measures("BLEU", group, asked):
        found.append(f"{group.name}: BLEU left out: no reference has 4 tokens, so it would be 0 whatever is said")
    if group.task == "caption" and len(asked) < FEWEST:
        found.append(f"{group.name}: CIDEr-D left out: only {len(asked)} pictures, {FEWEST} are needed for its idf")
    if measures_nouns(group) and not any(map(reference_head, (text for q in asked for text in q.references))):
        found.append(f"{group.name}: head nouns left out: no reference has a clear one, like 'A brown hen.'")
    return found


def _swap(
    pairs: tuple[Example, ...], digests: Mapping[Path, str], seed: int, name: str, warnings: list[str]
) -> tuple[Pictures, ...] | None:
    """The other meaning's pictures; any other where the data has no counterpart."""
    meant = other_meanings(pairs)
    lacking = sum(pictures is None for pictures in meant)
    if not lacking:
        return tuple(pictures for pictures in meant if pictures is not None)
    warnings.append(
        f"{name}: {lacking} of {len(pairs)} have no example of the other meaning; swapped is any other picture there"
    )
    try:
        found = other_pictures(pairs, digests, seed)
    except EvaluationError as error:
        warnings.append(f"{name}: swapped pictures left out: {error}")
        return None
    return tuple(pictures or other for pictures, other in zip(meant, found, strict=True))
