"""Questions about composed scenes: is a thing there, of which colour, how many, and where.

The scenes are of the pictures that training knows, composed anew, so that no scene was seen before. Presence is
balanced, and words alone say as little as they can (`vlbm.data.scene_questions`). It knows scenes and answers, not
models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import count, islice

import numpy as np

from vlbm.data.scene_questions import Asked, Skill, ask, is_right
from vlbm.data.scenes import KINDS, Scene, SceneKind
from vlbm.data.splits import TRAIN
from vlbm.evaluation.card.bench import Bench, with_labels
from vlbm.evaluation.card.section import Figure, Row, Section, share
from vlbm.evaluation.card.things import NONE, PROMPTED, SHUFFLED
from vlbm.evaluation.naming import Posed
from vlbm.recipes.pictures import pictures
from vlbm.recipes.scenes import Scenes, things

MOST = 100  # questions a skill
SEED = 2026  # not that of training
TARGETS: dict[Skill, float] = {"presence": 90, "colour": 80, "count": 65, "position": 70}
KIND: dict[Skill, SceneKind] = {"presence": "several", "colour": "several", "count": "count", "position": "several"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A question and the picture of its scene."""

    asked: Asked
    picture: bytes


def scenes(bench: Bench) -> Section:
    """Ask about scenes, with their own picture, with another scene's, and with none."""
    found = Scenes(things(pictures(bench.data, bench.tell), TRAIN), seed=SEED + bench.seed)
    figures, rows = list[Figure](), list[Row]()
    for skill, target in TARGETS.items():
        posed = list(islice(posed_scenes(found, skill, bench.seed), min(MOST, bench.limit or MOST)))
        own = _say(bench, skill, posed, [one.picture for one in posed])
        others = [posed[(place + 1) % len(posed)].picture for place in range(len(posed))]
        swapped = _say(bench, f"{skill}, {SHUFFLED}", posed, others)
        without = _say(bench, f"{skill}, {NONE}", posed, [None] * len(posed))
        labelled = [with_labels(bench.labels(one.picture), one.asked.question) for one in posed]
        said = {SHUFFLED: swapped, NONE: without, PROMPTED: bench.bare(f"Scenes, {skill}, {PROMPTED}", labelled)}
        measured = share(right(posed, own))
        chance = 100 * sum(1 / len(one.asked.choices) for one in posed) / len(posed)
        figures.append(
            Figure(
                what=f"composed scenes: {skill} (chance {chance:.0f} %)",
                target=f">= {target:.0f} %",
                unit="%",
                count=len(posed),
                measured=measured,
                baselines={way: share(right(posed, texts)) for way, texts in said.items()},
                met=measured.value >= target,
            )
        )
        rows += [
            Row(
                shown=f"{skill} {number}",
                question=one.asked.question,
                expected=one.asked.answer,
                said=text,
                right=is_right(one.asked, text),
            )
            for number, (one, text) in enumerate(zip(posed, own, strict=True))
        ]
    return Section(
        how="New scenes of cut-outs that training knows: two or three things beside or above each other, or one to "
        "four of one thing, on grounds of colours, gradients and noise.",
        figures=figures,
        rows=rows,
    )


def posed_scenes(found: Scenes, skill: Skill, seed: int) -> Iterator[Shown]:
    """Questions of a skill without end."""
    names = [thing.name for thing in found.things]
    wanted = KINDS.index(KIND[skill])
    for number in count(wanted, len(KINDS)):
        scene = found.scene(number)
        asked = ask(scene, skill, np.random.default_rng([seed, number]), names=names)
        if asked is not None:
            yield Shown(asked, _png(scene))


def _png(scene: Scene) -> bytes:
    file = BytesIO()
    scene.picture.save(file, "PNG")
    return file.getvalue()


def _say(bench: Bench, stage: str, posed: Sequence[Shown], pictures: Sequence[bytes | None]) -> list[str]:
    asked = [Posed(picture, one.asked.question) for one, picture in zip(posed, pictures, strict=True)]
    return [answer.text for answer in bench.ask(f"Scenes, {stage}", asked, max_tokens=24)]


def right(posed: Sequence[Shown], said: Sequence[str]) -> list[bool]:
    """Which answers are right."""
    return [is_right(one.asked, text) for one, text in zip(posed, said, strict=True)]
