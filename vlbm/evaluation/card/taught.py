"""Held-out concepts before and after the memory was taught one other rendering of each."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from vlbm.data.records import Example
from vlbm.data.splits import CONCEPTS
from vlbm.evaluation.card.bench import Bench
from vlbm.evaluation.card.named import from_shuffled, things_of
from vlbm.evaluation.card.section import Figure, Section, share
from vlbm.evaluation.card.things import NEAREST, SHUFFLED, Answers, another, answers_of
from vlbm.memory.teach import look_at, teach

SHOWN, TAUGHT = "noto", "fluent"


def taught(bench: Bench) -> Section:
    """Ask, teach, ask again."""
    chosen = bench.some(pairs(bench.examples(CONCEPTS)), 200)
    things, lessons = things_of([shown for shown, _ in chosen]), [lesson for _, lesson in chosen]
    before = answers_of(bench, "Before teaching", things)
    index, _ = look_at(
        bench.model, bench.processor, lessons, lambda done, total: bench.tell("Teaching", done, total, "")
    )
    told = replace(bench, lent=teach(bench.model, bench.processor, index))
    after = answers_of(told, "After teaching", things)
    wrong = [another(things, number) for number in range(len(things))]
    swapped = answers_of(told, "After teaching, shuffled", wrong)
    shuffled = [thing.named(answer.text) for thing, answer in zip(things, swapped, strict=True)]
    answers = Answers(things, after, {SHUFFLED: shuffled})
    known = bench.neighbours.beside(
        index.features[:, -bench.neighbours.width :], tuple({"en": entry.caption} for entry in index.entries)
    )
    near = [thing.named(known.say(bench.glance(thing.picture).pooled[0].cpu(), "en")) for thing in things]
    measured = share(answers.hits)
    return Section(
        how=f"Held-out concepts that several makers drew: {SHOWN}'s picture is asked about, before and after "
        f"{TAUGHT}'s was added to the memory. The nearest neighbour has learnt the same pictures.",
        figures=[
            Figure(
                what="held-out concepts after `memory add` of one other rendering: head noun",
                target=">= 55 %",
                unit="%",
                count=len(things),
                measured=measured,
                baselines={
                    "before": share([thing.named(answer.text) for thing, answer in zip(things, before, strict=True)]),
                    NEAREST: share(near),
                    SHUFFLED: share(shuffled),
                },
                met=measured.value >= 55,
            ),
            from_shuffled("taught concepts", answers),
        ],
        rows=answers.rows(),
    )


def pairs(examples: list[Example]) -> list[tuple[Example, Example]]:
    """For each concept one maker's picture to ask about, and the same emoji by another one to teach."""
    by_name: dict[str, dict[str, Example]] = defaultdict(dict)
    for example in examples:
        by_name[example.target][example.pictures[0].parent.name] = example
    both = [makers for makers in by_name.values() if {SHOWN, TAUGHT} <= makers.keys()]
    first = {makers[SHOWN].concept: makers for makers in reversed(both)}  # one emoji a concept
    return [(makers[SHOWN], makers[TAUGHT]) for _, makers in sorted(first.items(), key=str)]
