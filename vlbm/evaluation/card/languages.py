"""Captions in other languages, and translations of captions with and without their picture, scored by chrF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlbm.data.records import Example
from vlbm.data.splits import CONCEPTS, RENDERINGS
from vlbm.evaluation.card.bench import Bench, with_labels
from vlbm.evaluation.card.section import Figure, Row, Section
from vlbm.evaluation.card.things import NEAREST, NONE, PROMPTED, SHUFFLED
from vlbm.evaluation.confidence import Interval, bootstrap_mean
from vlbm.evaluation.naming import Posed
from vlbm.evaluation.scores import chrf, sentence_chrf
from vlbm.evaluation.swaps import deranged
from vlbm.recipes.pictures import LANGUAGES
from vlbm.tasks import LANGUAGES as NAMES
from vlbm.tasks import question

OTHERS = tuple(language for language in LANGUAGES if language != "en")
CAPTIONS, TRANSLATIONS = 100, 50  # questions a language
MAX_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Asked:
    """One question about a picture, and the example that says what is right."""

    example: Example
    question: str

    @property
    def picture(self) -> bytes:
        """Its bytes."""
        return self.example.pictures[0].read_bytes()


def captions(bench: Bench) -> Section:
    """A caption in each language of known concepts as a held-out maker drew them."""
    figures, rows = list[Figure](), list[Row]()
    for language in OTHERS:
        chosen = bench.some(bench.examples(RENDERINGS, language), CAPTIONS)
        asked = [Asked(example, question("caption", language=language, style="short")) for example in chosen]
        name, stage = NAMES[language], f"Captions, {NAMES[language]}"
        said = _say(bench, stage, asked, [one.picture for one in asked])
        baselines = {
            NEAREST: _score(bench, [bench.nearest(one.picture, language) for one in asked], asked),
            PROMPTED: _score(bench, _prompted(bench, stage, asked), asked),
            SHUFFLED: _score(bench, _say(bench, f"{stage}, {SHUFFLED}", asked, _shuffled(bench, asked)), asked),
        }
        measured = _score(bench, said, asked)
        figures.append(
            Figure(
                what=f"captions of unseen renderings, {name}",
                target="chrF >= 50, above nearest neighbour",
                unit="chrF",
                count=len(asked),
                measured=measured,
                baselines=baselines,
                met=measured.value >= 50 and measured.value > baselines[NEAREST].value,
            )
        )
        rows += _rows(asked, said)
    return Section(
        how=f"Known concepts as a held-out maker drew them (split {RENDERINGS}), asked for in each language; chrF of "
        "the answer with the name in CLDR.",
        figures=figures,
        rows=rows,
    )


def translation(bench: Bench) -> Section:
    """English captions of held-out concepts into each language, with their picture, with another one, and without."""
    english = {example.pictures[0]: example.target for example in bench.examples(CONCEPTS)}
    asked = [
        Asked(example, question("translate", english[example.pictures[0]], language))
        for language in OTHERS
        for example in bench.some(bench.examples(CONCEPTS, language), TRANSLATIONS)
        if example.pictures[0] in english
    ]
    own, stage = [one.picture for one in asked], "Translation"
    said = _say(bench, stage, asked, own)
    without = _say(bench, f"{stage}, {NONE}", asked, [None] * len(asked))
    swapped = _say(bench, f"{stage}, {SHUFFLED}", asked, _shuffled(bench, asked))
    near = [bench.nearest(one.picture, one.example.language) for one in asked]
    baselines = {
        NONE: _score(bench, without, asked),
        SHUFFLED: _score(bench, swapped, asked),
        NEAREST: _score(bench, near, asked),
        PROMPTED: _score(bench, _prompted(bench, stage, asked), asked),
    }
    over_none, over_swapped = _gain(bench, asked, said, without), _gain(bench, asked, said, swapped)
    return Section(
        how=f"English captions of held-out concepts (split {CONCEPTS}) into {len(OTHERS)} languages. Gains are the "
        "mean of the differences of chrF, question by question.",
        figures=[
            Figure(
                what="translation of held-out captions, all languages",
                unit="chrF",
                count=len(asked),
                measured=_score(bench, said, asked),
                baselines=baselines,
            ),
            Figure(
                what="translation: gain of the picture over none",
                target=">= 3 chrF",
                unit="chrF",
                count=len(asked),
                measured=over_none,
                baselines={},
                met=over_none.value >= 3,
            ),
            Figure(
                what="translation: gain of the picture over a shuffled one",
                target="more than over none",
                unit="chrF",
                count=len(asked),
                measured=over_swapped,
                baselines={},
                met=over_swapped.value > over_none.value,
            ),
        ],
        rows=_rows(asked, said),
    )


def _say(bench: Bench, stage: str, asked: Sequence[Asked], pictures: Sequence[bytes | None]) -> list[str]:
    posed = [Posed(shown, one.question, one.example.language) for one, shown in zip(asked, pictures, strict=True)]
    return [answer.text for answer in bench.ask(stage, posed, max_tokens=MAX_TOKENS)]


def _prompted(bench: Bench, stage: str, asked: Sequence[Asked]) -> list[str]:
    prompts = [with_labels(bench.labels(one.picture), one.question) for one in asked]
    return bench.bare(f"{stage}, {PROMPTED}", prompts, max_tokens=MAX_TOKENS)


def _shuffled(bench: Bench, asked: Sequence[Asked]) -> list[bytes]:
    order = deranged([one.example.concept or "" for one in asked], bench.seed)
    return [asked[place].picture for place in order]


def _score(bench: Bench, said: Sequence[str], asked: Sequence[Asked]) -> Interval:
    return chrf(said, [[one.example.target] for one in asked], seed=bench.seed).interval


def _gain(bench: Bench, asked: Sequence[Asked], said: Sequence[str], other: Sequence[str]) -> Interval:
    def each(texts: Sequence[str]) -> list[float]:
        return [sentence_chrf(text, one.example.target) for text, one in zip(texts, asked, strict=True)]

    return bootstrap_mean([a - b for a, b in zip(each(said), each(other), strict=True)], bench.seed)


def _rows(asked: Sequence[Asked], said: Sequence[str]) -> list[Row]:
    return [
        Row(
            shown=f"{one.example.pictures[0].parent.name}/{one.example.pictures[0].name}",
            question=one.question,
            expected=one.example.target,
            said=text,
        )
        for one, text in zip(asked, said, strict=True)
    ]
