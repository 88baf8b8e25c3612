"""What each kind of evidence gives: things named without it, by the same trained model.

Regions are named by classes and memory too. It knows what is seen, not how it was trained: a model that was trained
without a part may make up for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from vlbm.data.splits import RENDERINGS
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.named import things_of
from vlbm.evaluation.card.section import Figure, Section, share
from vlbm.evaluation.card.things import Thing
from vlbm.evaluation.naming import Posed
from vlbm.evaluation.photos import foreign_photos
from vlbm.evidence.runs import ALIAS, CAPTION, FINE, GROUP, KIND, THING
from vlbm.perception import Visual

MOST = 100
CLASSES, REGIONS = (GROUP, FINE, KIND), range(THING, ALIAS + 1)


def without(*kinds: int) -> Callable[[Visual], Visual]:
    """What is seen, without some kinds of evidence."""

    def change(visual: Visual) -> Visual:
        gone = torch.isin(visual.evidence.kind, torch.tensor(kinds))
        return replace(visual, evidence=replace(visual.evidence, mask=visual.evidence.mask & ~gone))

    return change


def without_grid(visual: Visual) -> Visual:
    """Evidence alone."""
    return replace(visual, seen=torch.zeros(visual.grid.shape[:2], dtype=torch.bool))


WAYS: dict[str, Callable[[Visual], Visual]] = {
    "without names of classes": without(*CLASSES),
    "without the visual memory": without(CAPTION),
    "without regions": without(*REGIONS),
    "without the grid": without_grid,
    "names of classes alone": without(CAPTION, *REGIONS),
    "the visual memory alone": without(*CLASSES, *REGIONS),
    "regions alone": without(*CLASSES, CAPTION),
    "the grid alone": without(*range(ALIAS + 1)),
}


def parts(bench: Bench) -> Section:
    """Photos and unseen renderings, with a part of what is seen left out."""
    found = foreign_photos(bench.photos, tell=lambda text: bench.tell(text, 0, 1, ""))
    photos = [Thing(photo.name, photo.data, photo.words) for photo in bench.some(found, MOST)]
    drawn = things_of(bench.some(bench.examples(RENDERINGS), MOST))
    return Section(
        how="The same model, asked with a part of what it sees left out.",
        figures=[_figure(bench, "real photos", photos), _figure(bench, "unseen renderings", drawn)],
    )


def _figure(bench: Bench, what: str, things: Sequence[Thing]) -> Figure:
    posed = [Posed(thing.picture) for thing in things]

    def named(way: str, change: Callable[[Visual], Visual]) -> list[bool]:
        said = bench.ask(f"Parts, {what}, {way}", posed, change=change)
        return [thing.named(answer.text) for thing, answer in zip(things, said, strict=True)]

    return Figure(
        what=f"parts: {what}, the thing is named",
        unit="%",
        count=len(things),
        measured=share(named("all", lambda visual: visual)),
        baselines={way: share(named(way, change)) for way, change in WAYS.items()},
    )
