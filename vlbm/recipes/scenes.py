"""Composed scenes of the pictures to train on, encoded once: what is asked about them is known.

It knows scenes and the encoder, not language models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from vlbm.data.compose import read_cutout
from vlbm.data.scenes import KINDS, Scene, Thing, compose_scene
from vlbm.recipes.pictures import Picture
from vlbm.training.workers import made

SCENES, SEED = 6000, 11
# A scene draws from so many things, and takes what it needs.
DRAWN = 12
# Last words of phrases that name what is done, how or where, or half of a name: nobody asks "is there a running".
NO_THINGS = frozenset(
    {
        *("arrival", "away", "bath", "biking", "bowing", "bowling", "camping", "cartwheeling", "claus"),
        *("climbing", "cooking", "crossing", "decreasing", "departure", "dizzy", "down", "exclamation", "exhaling"),
        *("facepalming", "fencing", "foggy", "frowning", "fuji", "golfing", "green", "haircut", "hockey"),
        *("horizontally", "hugging", "increasing", "index", "kneeling", "lacrosse", "left", "light", "locked"),
        *("maker", "massage", "no", "ok", "polish", "polo", "pong", "pop", "pouting"),
        *("racing", "right", "running", "shrugging", "spacewalk", "standing", "swimming", "tennis", "together"),
        *("unlocked", "up", "vertically", "voltage", "volume", "vomiting", "walking", "way", "wrestling"),
        "zzz",
    }
)


def things(pictures: Sequence[Picture], split: str, workers: int = 0) -> list[Thing]:
    """The cut-outs of a split whose English phrase ends with the thing they show: one can ask for it by that word.

    The source of each is its picture's number. Other processes may read them.
    """
    named = [
        number
        for number, one in enumerate(pictures)
        if one.split == split
        and one.concept.isalpha()
        and one.concept not in NO_THINGS
        and one.phrases["en"].lower().endswith(one.concept)
    ]

    def thing(number: int) -> Thing:
        one = pictures[number]
        return Thing.of(one.concept, read_cutout(one.path), source=number)

    return [found for some in made(thing, named, workers, size=64, join=list) for found in some]


class Scenes:
    """Scene number n, composed anew each time it is asked for: its randomness comes from its number alone."""

    def __init__(self, found: Sequence[Thing], seed: int = SEED, workers: int = 0) -> None:
        self.things, self.seed, self.workers = list(found), seed, workers
        self._facts: dict[int, Scene] = {}

    @property
    def key(self) -> str:
        """Says which scenes these are: of which things."""
        return hashlib.sha256("|".join(f"{thing.source}:{thing.name}" for thing in self.things).encode()).hexdigest()

    def scene(self, number: int) -> Scene:
        """The scene of a number."""
        rng = np.random.default_rng([self.seed, number])
        drawn = [self.things[int(place)] for place in rng.choice(len(self.things), DRAWN, replace=False)]
        return compose_scene(drawn, rng, KINDS[number % len(KINDS)])

    def draw(self, number: int) -> Image.Image:
        """Its picture."""
        return self.scene(number).picture

    def all_facts(self) -> list[Scene]:
        """The facts of the SCENES that are encoded."""
        missing = [number for number in range(SCENES) if number not in self._facts]
        found = (one for some in made(self._bare, missing, self.workers, size=64, join=list) for one in some)
        self._facts.update(zip(missing, found, strict=True))
        return [self._facts[number] for number in range(SCENES)]

    def facts(self, number: int) -> Scene:
        """The scene without its picture, kept: what is in it is asked again and again."""
        if number not in self._facts:
            self._facts[number] = self._bare(number)
        return self._facts[number]

    def _bare(self, number: int) -> Scene:
        return replace(self.scene(number), picture=Image.new("RGB", (1, 1)))
