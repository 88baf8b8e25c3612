"""Scenes: cut-outs composed on a ground, with what they show known. Pillow and numpy only.

A scene knows names, colours and boxes; what can be asked about it is in `vlbm.data.scene_questions`. It does not know
what a photo given as a ground shows: blur it, or give photos of none of the things that are asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from vlbm.data.colours import COLOURS, dominant_colour, recoloured
from vlbm.data.compose import SIZE, ground
from vlbm.data.english import countable, head

SceneKind = Literal["single", "several", "count"]
KINDS: tuple[SceneKind, ...] = ("single", "several", "count")
MOST = 4
RECOLOURED = 0.35
PHOTO = 0.4
MIRRORED = 0.5
TURNED = 0.35
MOST_DEGREES = 15.0
# A turned rectangle is at most cos 15° + sin 15° = 1.22 times as wide.
_ROOM_TO_TURN = 1.23
# Mean difference of a thing from its ground, in levels of 255, under which another ground is drawn.
_CONTRAST = 42.0
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Thing:
    """What a scene is composed from.

    Attributes:
        name: a bare noun phrase without article or colour, "cat".
        cutout: RGBA, trimmed to what is not transparent (`vlbm.data.compose.read_cutout`).
        colour: a word of `COLOURS`, or None where none is clear.
        source: a number by which whoever composes knows it again.
    """

    name: str
    cutout: Image.Image
    colour: str | None
    source: int = 0

    @classmethod
    def of(cls, name: str, cutout: Image.Image, source: int = 0) -> Thing:
        """A thing with the colour that its cut-out has."""
        return cls(name, cutout, dominant_colour(cutout), source)


@dataclass(frozen=True, slots=True)
class Placed:
    """A thing in a scene.

    Attributes:
        name, colour: of the thing, as it was painted.
        box: left, top, right, bottom, as shares of the picture's side.
        size: the share of the picture that its pixels cover.
        source: of the thing.
    """

    name: str
    colour: str | None
    box: tuple[float, float, float, float]
    size: float
    source: int = 0

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of the box: across, down."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture (RGB, SIZE x SIZE) and all that is in it, in no telling order; `kind` is how it was composed."""

    picture: Image.Image
    placed: tuple[Placed, ...]
    kind: SceneKind


class Spot(NamedTuple):
    """Where a thing goes: its middle and its longer side at most, as shares of the picture's side."""

    across: float
    down: float
    side: float


class _Piece(NamedTuple):
    thing: Thing
    picture: Image.Image
    corner: tuple[int, int]


def compose_scene(
    things: Sequence[Thing], rng: np.random.Generator, kind: SceneKind, *, photos: Sequence[Image.Image] = ()
) -> Scene:
    """A scene of things drawn from those given.

    Args:
        things: what to draw from; `count` draws from those that can be counted by their name.
        rng: all that is random.
        kind: `single` (one thing), `several` (two or three different ones, beside or above each other) or `count` (one
            to four of one thing).
        photos: grounds beside those of `vlbm.data.compose.ground`.

    Raises:
        ValueError: there are too few different things.
    """
    spots = {"single": _single, "several": _several, "count": _count}[kind](rng)
    if kind == "count":
        chosen = [_painted(_draw(things, rng, 1, counted=True)[0], rng)] * len(spots)
    else:
        chosen = [_painted(thing, rng) for thing in _draw(things, rng, len(spots))]
    spots = spots[: len(chosen)]
    pieces = [_piece(thing, spot, rng) for thing, spot in zip(chosen, spots, strict=True)]
    canvas = _ground_under(pieces, photos, rng)
    for piece in pieces:
        canvas.paste(piece.picture, piece.corner, piece.picture)
    order = rng.permutation(len(pieces))
    return Scene(_lit(canvas, rng), tuple(_placed(pieces[place]) for place in order), kind)


def _draw(things: Sequence[Thing], rng: np.random.Generator, many: int, *, counted: bool = False) -> list[Thing]:
    """Different things: no two share the head of their name, so that "the cake" is one of them."""
    drawn: list[Thing] = []
    for place in _places(len(things), rng):
        thing = things[place]
        if (not counted or countable(thing.name)) and head(thing.name) not in {head(other.name) for other in drawn}:
            drawn.append(thing)
            if len(drawn) == many:
                return drawn
    if len(drawn) < min(many, 2):
        raise ValueError(f"{len(drawn)} of {len(things)} things can be used, {min(many, 2)} different ones are needed")
    return drawn


def _places(many: int, rng: np.random.Generator) -> Sequence[int]:
    """Some places in random order, and then all: seldom are more than a few looked at."""
    few = [int(place) for place in rng.integers(0, many, 8)] if many else []
    return [*few, *range(many)]


def _painted(thing: Thing, rng: np.random.Generator) -> Thing:
    if rng.random() >= RECOLOURED:
        return thing
    colour = COLOURS[int(rng.integers(len(COLOURS)))]
    return replace(thing, cutout=recoloured(thing.cutout, colour, rng), colour=colour)


def _single(rng: np.random.Generator) -> list[Spot]:
    """Anywhere, or clearly at a side or in the middle."""
    side = float(rng.uniform(0.35, 0.8))
    if rng.random() < 0.5:
        across, down = rng.uniform(side / 2, 1 - side / 2, 2)
        return [Spot(float(across), float(down), side)]
    side = min(side, 0.5)
    off = {0: (-1, 0), 1: (1, 0), 2: (0, -1), 3: (0, 1), 4: (0, 0)}[int(rng.integers(5))]
    across, down = (
        0.5 + step * (0.5 - side / 2 - rng.uniform(0, 0.04)) + rng.uniform(-0.06, 0.06) * (not step) for step in off
    )
    return [Spot(float(across), float(down), side)]


def _several(rng: np.random.Generator) -> list[Spot]:
    """Two or three in a row or a column, each in its own slot; half the pairs of clearly different size."""
    many = 3 if rng.random() < 0.4 else 2
    slot = 1 / many
    if many == 2:
        sides = rng.uniform(0.32, 0.47, 2) if rng.random() < 0.5 else rng.permuted([rng.uniform(0.44, 0.48), 0.27])
    else:
        sides = rng.uniform(0.26, 0.32, 3)
    drift = rng.uniform(-0.15, 0.15)
    upright = rng.random() < 0.5
    spots = []
    for place, side in enumerate(sides):
        slack = (slot - side) / 2
        along = (place + 0.5) * slot + rng.uniform(-slack, slack)
        aside = float(np.clip(0.5 + drift + rng.uniform(-0.08, 0.08), side / 2, 1 - side / 2))
        spots.append(Spot(aside, along, side) if upright else Spot(along, aside, side))
    return [Spot(*(float(value) for value in spots[place])) for place in rng.permutation(many)]


def _count(rng: np.random.Generator) -> list[Spot]:
    """One to four cells of a grid of two or three a side; the grid says nothing about how many."""
    many, cells = int(rng.integers(1, MOST + 1)), int(rng.integers(2, 4))
    usual = float(rng.uniform(0.75, 0.92)) / cells
    spots = []
    for cell in rng.choice(cells * cells, many, replace=False):
        side = usual * float(rng.uniform(0.92, 1.05))
        slack = (1 / cells - side) / 2
        down, across = ((int(place) + 0.5) / cells + rng.uniform(-slack, slack) for place in divmod(int(cell), cells))
        spots.append(Spot(float(across), float(down), side))
    return spots


def _piece(thing: Thing, spot: Spot, rng: np.random.Generator) -> _Piece:
    """The thing at its size, mirrored and turned at random, and where its upper left corner goes."""
    turned = rng.random() < TURNED
    side = int(SIZE * spot.side / (_ROOM_TO_TURN if turned else 1))
    picture = ImageOps.contain(thing.cutout, (side, side), Image.Resampling.BICUBIC)
    if rng.random() < MIRRORED:
        picture = ImageOps.mirror(picture)
    if turned:
        picture = picture.rotate(float(rng.uniform(-MOST_DEGREES, MOST_DEGREES)), Image.Resampling.BICUBIC, expand=True)
    box = picture.getchannel("A").point([0] * 17 + [255] * 239).getbbox()
    picture = picture.crop(box) if box else picture
    left, top = (
        int(np.clip(round(SIZE * middle - length / 2), 0, SIZE - length))
        for middle, length in zip(spot[:2], picture.size, strict=True)
    )
    return _Piece(thing, picture, (left, top))


def _ground_under(pieces: Sequence[_Piece], photos: Sequence[Image.Image], rng: np.random.Generator) -> Image.Image:
    """A ground on which every piece can be seen; the clearest of a few."""
    best, clearest = None, -1.0
    for _ in range(_TRIES):
        if photos and rng.random() < PHOTO:
            canvas = _photo_ground(photos[int(rng.integers(len(photos)))], rng)
        else:
            canvas = ground(None, rng)
        contrast = min(_contrast(piece, canvas) for piece in pieces)
        if contrast > clearest:
            best, clearest = canvas, contrast
        if contrast >= _CONTRAST:
            break
    assert best is not None  # noqa: S101
    return best


def _photo_ground(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    made = ImageOps.fit(photo.convert("RGB"), (SIZE, SIZE), Image.Resampling.BILINEAR)
    return ImageOps.mirror(made) if rng.random() < MIRRORED else made


def _contrast(piece: _Piece, canvas: Image.Image) -> float:
    """The mean difference of a piece's opaque pixels from what lies under them, on every fourth pixel a side."""
    left, top = piece.corner
    under = np.asarray(canvas)[top : top + piece.picture.height : 4, left : left + piece.picture.width : 4]
    over = np.asarray(piece.picture)[::4, ::4]
    apart = np.abs(over[..., :3].astype(np.int16) - under).mean(-1)[over[..., 3] > 127]
    return float(apart.mean()) if apart.size else 0.0


def _lit(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast and colour a little varied, so that colour words stay true; sometimes blurred."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = enhance(picture).enhance(float(rng.uniform(0.93, 1.07)))
    return picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.9)))) if rng.random() < 0.2 else picture


def _placed(piece: _Piece) -> Placed:
    left, top = piece.corner
    width, height = piece.picture.size
    covered = float((np.asarray(piece.picture.getchannel("A")) > 127).sum()) / SIZE**2
    box = (left / SIZE, top / SIZE, (left + width) / SIZE, (top + height) / SIZE)
    return Placed(piece.thing.name, piece.thing.colour, box, covered, piece.thing.source)
