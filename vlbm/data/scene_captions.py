"""What a composed scene shows, in words: as a noun phrase, and in a few sentences. Pure text.

It knows names, colours and places, in English; noun phrases of other languages are given to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from vlbm.data.english import NUMBERS, indefinite, plural, plural_already
from vlbm.data.scene_questions import WHERE, place_of, side_of
from vlbm.data.scenes import Placed, Scene


def listed(phrases: Sequence[str], conjunction: str = "and") -> str:
    """'a cat, a dog and a cup'."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} {conjunction} {phrases[-1]}"


def shown(scene: Scene) -> str:
    """All things of a scene as one English noun phrase: 'a cat and a dog', 'three cats'."""
    if scene.kind == "count":
        name, many = scene.placed[0].name, len(scene.placed)
        return indefinite(name) if many == 1 else f"{NUMBERS[many]} {plural(name)}"
    return listed([indefinite(thing.name) for thing in scene.placed])


def detailed(scene: Scene) -> str:
    """Sentences with what is surely known of colours and places."""
    said = [f"The picture shows {shown(scene)}."]
    if scene.kind == "count" and len(scene.placed) > 1:
        one = scene.placed[0]
        return " ".join([*said, *([f"They are {one.colour}."] if one.colour else [])])
    for thing in scene.placed:
        parts = [part for part in (thing.colour, _where(scene, thing)) if part]
        if parts:
            subject = f"The {thing.name}" if len(scene.placed) > 1 else "It"
            several = plural_already(thing.name)
            verb = "are" if several else "is"
            said.append(f"{'They' if several and subject == 'It' else subject} {verb} {' and '.join(parts)}.")
    return " ".join(said)


def _where(scene: Scene, thing: Placed) -> str | None:
    """Beside another thing, else in which part of the picture."""
    if len(scene.placed) == 1:
        place = place_of(thing)
        return WHERE[place] if place else None
    sides = [(side_of(thing, other), other) for other in scene.placed if other is not thing]
    return next((f"{side} the {other.name}" for side, other in sides if side), None)
