"""Questions about a scene, with answers, in English: presence, colour, count, position, size. Pure text and chance.

What is asked is sure from the scene alone: no "left of" between things that are askew, no "bigger" between like sizes,
and no question that has its answer in it. Words that fit are given too, so that a model's own answer can be judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from vlbm.data.colours import COLOURS
from vlbm.data.english import NUMBERS, countable, head, indefinite, plural, plural_already
from vlbm.data.scenes import MOST, Placed, Scene

Skill = Literal["presence", "colour", "count", "position", "largest"]
SKILLS: tuple[Skill, ...] = ("presence", "colour", "count", "position", "largest")
YES_NO = ("yes", "no")
SIDES = ("left", "right", "top", "bottom", "middle")
HARD = 0.5
# One is bigger where it covers this many times the other's pixels.
BIGGER = 1.7

_OPPOSITE = {"to the left of": "to the right of", "above": "below"}
_OPPOSITE |= {there: here for here, there in _OPPOSITE.items()}
_ALSO = {
    "grey": ("gray",),
    "purple": ("violet",),
    "middle": ("center", "centre"),
    **{NUMBERS[number]: (str(number),) for number in range(1, MOST + 1)},
}
WHERE = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "middle": "in the middle",
}
_PRESENCE = (
    "{Is} there {a} in the picture?",
    "{Is} there {a}?",
    "Do you see {a}?",
    "Can you see any {many}?",
    "Does the picture show {a}?",
)
_COLOUR = (
    "What colour {is} the {x}?",
    "What color {is} the {x}?",
    "Which colour {is} the {x}?",
    "Tell me the colour of the {x}.",
)
_COUNT = (
    "How many {many} are there?",
    "How many {many} do you see?",
    "How many {many} are in the picture?",
    "Count the {many}.",
)
_BESIDE = (
    "What is {side} the {x}?",
    "What do you see {side} the {x}?",
    "What can you see {side} the {x}?",
    "Name what is {side} the {x}.",
)
_RELATION = (
    "{Is} the {x} {side} the {y}?",
    "Can you see the {x} {side} the {y}?",
    "In the picture, {is} the {x} {side} the {y}?",
)
_PLACE = (
    "Where {is} the {x}?",
    "Where {is} the {x} in the picture?",
    "Where do you see the {x}?",
    "In which part of the picture {is} the {x}?",
)
_LARGEST = (
    "Which is {more}, the {x} or the {y}?",
    "What is {more}: the {x} or the {y}?",
    "Which looks {more}, the {x} or the {y}?",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a scene.

    Attributes:
        question, answer: whole sentences.
        skill: what it asks of the model.
        accepted: words of which an answer has to have one, in lower case.
        choices: what the answer could have been, with the right one: chance is one in so many.
    """

    question: str
    answer: str
    skill: Skill
    accepted: tuple[str, ...]
    choices: tuple[str, ...]


def ask(
    scene: Scene,
    skill: Skill,
    rng: np.random.Generator,
    *,
    names: Sequence[str],
    similar: Mapping[str, Sequence[str]] | None = None,
) -> Asked | None:
    """One question of a skill; None where the scene has no sure answer.

    Args:
        scene: what is asked about.
        skill: what is asked.
        rng: chooses thing, words, and yes or no.
        names: of what could have been there: for what is not, and for choices. Give one for each thing that scenes are
            composed from, doubles and all: else a name alone says yes or no.
        similar: names like a name, for hard negatives; none that means the same.
    """
    made = {
        "presence": lambda: _presence(scene, rng, names, similar or {}),
        "colour": lambda: _colour(scene, rng),
        "count": lambda: _count(scene, rng),
        "position": lambda: _position(scene, rng, names),
        "largest": lambda: _largest(scene, rng),
    }[skill]()
    return None if made is None or _given_away(made) else made


def is_right(asked: Asked, text: str) -> bool:
    """Whether an answer is right: of the choices and accepted words, the first one in the text is accepted.

    Yes and no count only as the first word; a number counts as the first number.
    """
    text = text.lower()
    if asked.choices == YES_NO:
        return text.split()[:1] != [] and re.sub(r"\W", "", text.split()[0]) in asked.accepted
    words = {*asked.accepted, *asked.choices, *(other for choice in asked.choices for other in _ALSO.get(choice, ()))}
    if asked.skill == "count":
        words |= {*NUMBERS, *(str(number) for number in range(100))}
    found = re.search(_any_of(words), text)
    return found is not None and found.group(1) in asked.accepted


def _any_of(words: set[str]) -> str:
    """A pattern of whole words, the longest first, singular or plural."""
    return rf"\b({'|'.join(sorted(map(re.escape, words), key=len, reverse=True))})(?:e?s)?\b"


def _given_away(asked: Asked) -> bool:
    """Whether a word of the choices is in the question, where it should not be: the colour of "the orange"."""
    if asked.choices == YES_NO or asked.skill == "largest":
        return False
    return re.search(_any_of({*asked.choices, *asked.accepted}), asked.question.lower()) is not None


def _presence(
    scene: Scene, rng: np.random.Generator, names: Sequence[str], similar: Mapping[str, Sequence[str]]
) -> Asked | None:
    yes = rng.random() < 0.5
    thing = _one(scene.placed, rng)
    name = thing.name if yes else _absent(scene, rng, names, similar.get(thing.name, ()))
    if name is None:
        return None
    are = plural_already(name)
    question = _one(_PRESENCE, rng).format(Is="Are" if are else "Is", a=indefinite(name), many=plural(name))
    if not yes:
        return Asked(question, f"No, there {'are' if are else 'is'} no {name}.", "presence", ("no",), YES_NO)
    several = len(_same(scene, name)) > 1
    there = f"are {plural(name)}" if several or are else f"is {indefinite(name)}"
    return Asked(question, f"Yes, there {there}.", "presence", ("yes",), YES_NO)


def _absent(scene: Scene, rng: np.random.Generator, names: Sequence[str], like: Sequence[str]) -> str | None:
    """The name of what is not there: one of those alike in half the cases, else any."""
    hard = [name for name in like if not _there(scene, name)]
    if hard and rng.random() < HARD:
        return _one(hard, rng)
    return next(iter(_others(scene, rng, names, 1)), None)


def _others(scene: Scene, rng: np.random.Generator, names: Sequence[str], many: int) -> list[str]:
    """Different names of what is not there: as many as wanted where there are."""
    found: list[str] = []
    places = [*map(int, rng.integers(0, len(names), 4 * many)), *range(len(names))] if names else []
    for place in places:
        if len(found) == many:
            break
        if not _there(scene, names[place]) and head(names[place]) not in map(head, found):
            found.append(names[place])
    return found


def _there(scene: Scene, name: str) -> bool:
    """Whether a name could be said of a thing in the scene: "cat" of a "cat face", "dog" of a "hot dog"."""
    words = {_root(word) for thing in scene.placed for word in thing.name.lower().split()}
    heads = {_root(head(thing.name)) for thing in scene.placed}
    return _root(head(name)) in words or any(_root(word) in heads for word in name.lower().split())


def _root(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _colour(scene: Scene, rng: np.random.Generator) -> Asked | None:
    coloured = [thing for thing in scene.placed if thing.colour]
    if not coloured:
        return None
    thing = _one(coloured, rng)
    colour, (the, verb) = thing.colour or "", _the(scene, thing)
    question = _one(_COLOUR, rng).format_map({"is": verb, "x": the})
    return Asked(question, f"The {the} {verb} {colour}.", "colour", _accepted(colour), COLOURS)


def _count(scene: Scene, rng: np.random.Generator) -> Asked | None:
    """Only of scenes composed for it: elsewhere the answer is nearly always one."""
    name, many = scene.placed[0].name, len(scene.placed)
    if scene.kind != "count" or not countable(name):
        return None
    word = NUMBERS[many]
    answer = f"There is one {name}." if many == 1 else f"There are {word} {plural(name)}."
    question = _one(_COUNT, rng).format(many=plural(name))
    return Asked(question, answer, "count", _accepted(word), NUMBERS[1 : MOST + 1])


def _position(scene: Scene, rng: np.random.Generator, names: Sequence[str]) -> Asked | None:
    """One of the three forms, those that the scene allows at the same chance."""
    made = [_beside(scene, rng, names), _relation(scene, rng), _place(scene, rng)]
    allowed = [asked for asked in made if asked is not None and not _given_away(asked)]
    return _one(allowed, rng) if allowed else None


def _beside(scene: Scene, rng: np.random.Generator, names: Sequence[str]) -> Asked | None:
    """What is beside a thing, where just one is: three of the choices are other things, in the scene first."""
    sure = []
    for one in scene.placed:
        sides = [(side, other) for other in scene.placed if (side := side_of(other, one))]
        sure += [(side, other, one) for side, other in sides if sum(side == also for also, _ in sides) == 1]
    if not sure:
        return None
    side, other, one = _one(sure, rng)
    (name, verb), (the, _) = _the(scene, other), _the(scene, one)
    third = [thing.name for thing in scene.placed if thing not in (one, other)]
    choices = [name, *third, *_others(scene, rng, names, 3 - len(third))]
    question = _one(_BESIDE, rng).format(side=side, x=the)
    answer = f"{_sentence(indefinite(name))} {verb} {side} the {the}."
    return Asked(question, answer, "position", _accepted(name.lower()), _mixed([c.lower() for c in choices], rng))


def _relation(scene: Scene, rng: np.random.Generator) -> Asked | None:
    """Yes or no; a no swaps the things or the side, so that words alone say nothing."""
    pairs = [(one, other) for one in scene.placed for other in scene.placed if side_of(one, other)]
    if not pairs:
        return None
    one, other = _one(pairs, rng)
    side = side_of(one, other) or ""
    yes = rng.random() < 0.5
    asked_side = side if yes else _OPPOSITE[side]
    (x, verb), (y, _) = _the(scene, one), _the(scene, other)
    words = {"Is": _sentence(verb), "is": verb, "x": x, "y": y, "side": asked_side}
    answer = f"{'Yes' if yes else 'No'}, the {x} {verb} {side} the {y}."
    return Asked(_one(_RELATION, rng).format_map(words), answer, "position", (YES_NO[not yes],), YES_NO)


def _place(scene: Scene, rng: np.random.Generator) -> Asked | None:
    sure = [
        (thing, place) for thing in scene.placed if (place := place_of(thing)) and len(_same(scene, thing.name)) == 1
    ]
    if not sure:
        return None
    thing, place = _one(sure, rng)
    the, verb = _the(scene, thing)
    question = _one(_PLACE, rng).format_map({"is": verb, "x": the})
    return Asked(question, f"The {the} {verb} {WHERE[place]}.", "position", _accepted(place), SIDES)


def _largest(scene: Scene, rng: np.random.Generator) -> Asked | None:
    pairs = [(one, other) for one in scene.placed for other in scene.placed if _bigger(one, other)]
    if not pairs:
        return None
    pair = _one(pairs, rng)
    more, thing = _one([("bigger", pair[0]), ("larger", pair[0]), ("smaller", pair[1])], rng)
    x, y = _mixed([pair[0].name, pair[1].name], rng)
    the, verb = _the(scene, thing)
    question = _one(_LARGEST, rng).format(more=more, x=x, y=y)
    return Asked(question, f"The {the} {verb} {more}.", "largest", _accepted(the.lower()), (x.lower(), y.lower()))


def _bigger(one: Placed, other: Placed) -> bool:
    """By what is covered and by the box, so that a thin long thing is no smaller than a short thick one."""
    apart = one.name != other.name
    return apart and one.size >= BIGGER * other.size and _area(one) >= BIGGER * _area(other)


def _area(thing: Placed) -> float:
    return (thing.box[2] - thing.box[0]) * (thing.box[3] - thing.box[1])


def side_of(one: Placed, other: Placed) -> str | None:
    """Where one is from another: 'to the left of', 'above' ...; None where unclear, or they have one name."""
    if one.name == other.name:
        return None
    across, down = (mine - theirs for mine, theirs in zip(one.middle, other.middle, strict=True))
    beside = one.box[2] <= other.box[0] or one.box[0] >= other.box[2]
    over = one.box[3] <= other.box[1] or one.box[1] >= other.box[3]
    if beside and abs(down) < 0.6 * abs(across):
        return "to the left of" if across < 0 else "to the right of"
    if over and abs(across) < 0.6 * abs(down):
        return "above" if down < 0 else "below"
    return None


def place_of(thing: Placed) -> str | None:
    """The part of the picture that a thing is in, one of `SIDES`; None where it is between two."""
    across, down = (middle - 0.5 for middle in thing.middle)
    if max(abs(across), abs(down)) < 0.09:
        return "middle"
    if abs(across) >= 0.16 and abs(down) < 0.5 * abs(across):
        return "left" if across < 0 else "right"
    if abs(down) >= 0.16 and abs(across) < 0.5 * abs(down):
        return "top" if down < 0 else "bottom"
    return None


def _same(scene: Scene, name: str) -> list[Placed]:
    return [thing for thing in scene.placed if thing.name == name]


def _the(scene: Scene, thing: Placed) -> tuple[str, str]:
    """A thing as it is spoken of, and its verb: 'cat', 'is'; of several, 'cats', 'are'."""
    if len(_same(scene, thing.name)) > 1:
        return plural(thing.name), "are"
    return thing.name, "are" if plural_already(thing.name) else "is"


def _accepted(word: str) -> tuple[str, ...]:
    return (word, *_ALSO.get(word, ()))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _one(of: Sequence[T], rng: np.random.Generator) -> T:
    return of[int(rng.integers(len(of)))]


def _mixed(of: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(of[int(place)] for place in rng.permutation(len(of)))
