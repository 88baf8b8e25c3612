"""Sections that ask for a thing's name: real photos, unseen renderings, held-out concepts."""

from __future__ import annotations

from vlbm.data.records import Example
from vlbm.data.splits import CONCEPTS, RENDERINGS
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.section import Figure, Section, above, share
from vlbm.evaluation.card.things import NEAREST, SHUFFLED, Answers, Thing, ask
from vlbm.evaluation.nouns import forms
from vlbm.evaluation.photos import foreign_photos

MOST = 300  # questions of a set, drawn by the seed: an interval of about 5 points either way


def photos(bench: Bench) -> Section:
    """Real photos from packages that are no training source."""
    found = foreign_photos(bench.photos, tell=lambda text: bench.tell(text, 0, 1, ""))
    things = [Thing(photo.name, photo.data, photo.words) for photo in bench.some(found, len(found))]
    answers = ask(bench, "Photos", things)
    measured, baselines = share(answers.hits), answers.shares()
    astray = share(answers.astray)
    return Section(
        how="Real photos from packages that are no training source, labelled before any was tried; an answer counts "
        "if it has one of the accepted nouns.",
        figures=[
            Figure(
                what="real photos: the thing is named",
                target=">= 60 %, 5 points above the best baseline",
                unit="%",
                count=len(things),
                measured=measured,
                baselines=baselines,
                met=above(measured, baselines, 60, 5),
            ),
            Figure(
                what="real photos: something else is named without a hedge",
                target="<= 10 %",
                unit="%",
                count=len(things),
                measured=astray,
                baselines={},
                met=astray.value <= 10,
            ),
            from_shuffled("real photos", answers),
        ],
        rows=answers.rows(),
    )


def renderings(bench: Bench) -> Section:
    """Known concepts as a maker drew them whose pictures are in no training."""
    answers = ask(bench, "Renderings", things_of(bench.some(bench.examples(RENDERINGS), MOST)))
    measured, baselines = share(answers.hits), answers.shares()
    return Section(
        how="Known concepts as a maker drew them of whom no picture is trained on or remembered (split "
        f"{RENDERINGS}); an answer counts if it has the concept's head noun.",
        figures=[
            Figure(
                what="unseen renderings of known concepts: head noun",
                target=">= 65 %, 5 points above nearest neighbour",
                unit="%",
                count=len(answers.things),
                measured=measured,
                baselines=baselines,
                met=above(measured, {NEAREST: baselines[NEAREST]}, 65, 5),
            ),
            from_shuffled("unseen renderings", answers),
        ],
        rows=answers.rows(),
    )


def concepts(bench: Bench) -> Section:
    """Concepts that neither training nor memory has."""
    answers = ask(bench, "Held-out concepts", things_of(bench.some(bench.examples(CONCEPTS), MOST)))
    measured = share(answers.hits)
    return Section(
        how=f"Concepts of which nothing is trained on or remembered (split {CONCEPTS}); an answer counts if it has the "
        "concept's head noun.",
        figures=[
            Figure(
                what="held-out concepts: head noun",
                target=">= 20 %",
                unit="%",
                count=len(answers.things),
                measured=measured,
                baselines=answers.shares(),
                met=measured.value >= 20,
            ),
            from_shuffled("held-out concepts", answers),
        ],
        rows=answers.rows(),
    )


def things_of(examples: list[Example]) -> list[Thing]:
    """Examples as things that are named by their concept."""
    return [
        Thing(
            f"{example.pictures[0].parent.name}/{example.pictures[0].name}",
            example.pictures[0].read_bytes(),
            forms(example.concept or ""),
        )
        for example in examples
    ]


def from_shuffled(what: str, answers: Answers) -> Figure:
    """How often the thing is named that was not shown."""
    measured = share(answers.baselines[SHUFFLED])
    return Figure(
        what=f"{what}: named from a shuffled picture",
        target="< 5 %",
        unit="%",
        count=len(answers.things),
        measured=measured,
        baselines={},
        met=measured.value < 5,
    )
