"""Is the thing named: by the model, and by whatever would name it without the model or without the picture.

It knows pictures and accepted words, not where they are from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlbm.errors import EvaluationError
from vlbm.evaluation.card.bench import Bench, with_labels
from vlbm.evaluation.card.section import Row, share
from vlbm.evaluation.confidence import Interval
from vlbm.evaluation.naming import QUESTION, Answer, Posed, asserts
from vlbm.evaluation.photos import named

NEAREST, PROMPTED, LABEL = "nearest neighbour", "five labels in the prompt", "likeliest label"
SHUFFLED, NONE = "shuffled picture", "no picture"
WAYS = (NEAREST, PROMPTED, LABEL, SHUFFLED, NONE)


@dataclass(frozen=True, slots=True)
class Thing:
    """A picture, its name, and the words of which an answer must have one."""

    name: str
    picture: bytes
    words: tuple[str, ...]

    def named(self, text: str) -> bool:
        """Whether a text names it."""
        return named(text, self.words)


@dataclass(frozen=True, slots=True)
class Answers:
    """What was said of things.

    Attributes:
        things: that were asked about.
        said: by the model.
        baselines: for each way, whether each thing was named.
    """

    things: Sequence[Thing]
    said: Sequence[Answer]
    baselines: Mapping[str, Sequence[bool]]

    @property
    def hits(self) -> list[bool]:
        """Which the model named."""
        return [thing.named(answer.text) for thing, answer in zip(self.things, self.said, strict=True)]

    @property
    def astray(self) -> list[bool]:
        """Which the model called something else without a hedge."""
        return [not hit and asserts(answer.text) for hit, answer in zip(self.hits, self.said, strict=True)]

    def shares(self) -> dict[str, Interval]:
        """Of each baseline the share of things that it named."""
        return {way: share(hits) for way, hits in self.baselines.items()}

    def rows(self) -> list[Row]:
        """Each question."""
        return [
            Row(
                shown=thing.name,
                question=QUESTION,
                expected=" / ".join(thing.words),
                said=answer.text,
                right=hit,
                confidence=answer.confidence,
            )
            for thing, answer, hit in zip(self.things, self.said, self.hits, strict=True)
        ]


def ask(bench: Bench, stage: str, things: Sequence[Thing], ways: Sequence[str] = WAYS) -> Answers:
    """Ask about each thing, and each baseline as well."""
    said = answers_of(bench, stage, things)
    return Answers(things, said, {way: _baseline(bench, f"{stage}, {way}", things, said, way) for way in ways})


def answers_of(bench: Bench, stage: str, things: Sequence[Thing]) -> list[Answer]:
    """What the model says of each thing."""
    return bench.ask(stage, [Posed(thing.picture) for thing in things])


def _baseline(bench: Bench, stage: str, things: Sequence[Thing], said: Sequence[Answer], way: str) -> list[bool]:
    """Which things one way of answering names, where this is said of them with their own pictures."""
    if way == NONE:
        without = bench.ask(stage, [Posed(None)])[0].text
        return [thing.named(without) for thing in things]
    if way == PROMPTED:
        asked = [with_labels(bench.labels(thing.picture), QUESTION) for thing in things]
        return [thing.named(text) for thing, text in zip(things, bench.bare(stage, asked), strict=True)]
    if way == SHUFFLED:
        texts = {thing: answer.text for thing, answer in zip(things, said, strict=True)}  # the question is the same
        return [thing.named(texts[another(things, number)]) for number, thing in enumerate(things)]
    if way == LABEL:
        return [thing.named(next(iter(bench.labels(thing.picture)), "")) for thing in things]
    return [thing.named(bench.nearest(thing.picture)) for thing in things]


def another(things: Sequence[Thing], number: int) -> Thing:
    """A thing that shares no word: half the list away, or the next one after it.

    Raises:
        EvaluationError: all things share a word with it.
    """
    mine = set(things[number].words)
    for step in range(len(things)):
        other = things[(number + len(things) // 2 + step) % len(things)]
        if not mine & set(other.words):
            return other
    raise EvaluationError(f"nothing else is shown than {things[number].words[0]}: ask about more things")
