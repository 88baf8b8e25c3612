"""What a scene says of itself is in its picture, and questions about it have their one right answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vlbm.data import scenes
from vlbm.data.colours import COLOURS, colour_words
from vlbm.data.compose import SIZE
from vlbm.data.scene_captions import detailed, listed, shown
from vlbm.data.scene_questions import SKILLS, YES_NO, Asked, Skill, ask, is_right, place_of, side_of
from vlbm.data.scenes import KINDS, Placed, Scene, SceneKind, Thing, compose_scene

PAINTS = {"red": "crimson", "green": "seagreen", "blue": "royalblue", "yellow": "gold", "white": "white"}
NAMES = ("ball", "house", "cat", "orange", "top hat", "hot dog", "car", "grapes", "bread", "mouse")
# A colour without a word: whatever has one was pasted.
TEAL = (0, 165, 165)


@pytest.fixture(scope="module")
def things() -> list[Thing]:
    made = []
    for number, (name, (colour, paint)) in enumerate(zip(NAMES, [*PAINTS.items()] * 2, strict=True)):
        picture = Image.new("RGBA", (120, 60 + 12 * number), (0, 0, 0, 0))
        draw = ImageDraw.Draw(picture)
        (draw.ellipse if number % 2 else draw.rectangle)((0, 0, 119, 59 + 12 * number), fill=paint)
        made.append(Thing.of(name, picture))
        assert made[-1].colour == colour
    return made


def many(things: list[Thing], kind: SceneKind, number: int, seed: int = 5) -> Iterator[Scene]:
    rng = np.random.default_rng(seed)
    return (compose_scene(things, rng, kind) for _ in range(number))


@pytest.fixture(scope="module")
def composed(things: list[Thing]) -> list[Scene]:
    """Sixty scenes of each kind."""
    return [scene for kind in KINDS for scene in many(things, kind, 60)]


def asked(composed: list[Scene], skill: Skill, times: int = 1) -> Iterator[tuple[Scene, Asked]]:
    rng = np.random.default_rng(9)
    for scene in composed * times:
        made = ask(scene, skill, rng, names=NAMES)
        if made is not None:
            yield scene, made


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_is_in_the_picture(things: list[Thing], kind: SceneKind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "ground", lambda _others, _rng: Image.new("RGB", (SIZE, SIZE), TEAL))
    told = []
    for scene in many(things, kind, 30):
        words = colour_words(scene.picture)
        outside = np.ones((SIZE, SIZE), bool)
        for thing in scene.placed:
            left, top, right, bottom = (round(SIZE * edge) for edge in thing.box)
            outside[max(0, top - 4) : bottom + 4, max(0, left - 4) : right + 4] = False
            inside = words[top:bottom, left:right]
            assert float((inside >= 0).sum()) / SIZE**2 == pytest.approx(thing.size, rel=0.15)
            told.append(COLOURS[int(np.bincount(inside[inside >= 0]).argmax())] == thing.colour)
        assert not (words[outside] >= 0).any()
    # Light makes a grey of a white now and then.
    assert sum(told) >= 0.9 * len(told)


@pytest.mark.parametrize("kind", KINDS)
def test_things_are_whole_apart_and_as_many_as_the_kind_says(composed: list[Scene], kind: SceneKind) -> None:
    numbers: Counter[int] = Counter()
    for scene in (scene for scene in composed if scene.kind == kind):
        boxes = [thing.box for thing in scene.placed]
        assert all(0 <= left < right <= 1 and 0 <= top < bottom <= 1 for left, top, right, bottom in boxes)
        for one, other in combinations(boxes, 2):
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert len({thing.name for thing in scene.placed}) == (1 if kind == "count" else len(boxes))
        numbers[len(boxes)] += 1
    assert sorted(numbers) == {"single": [1], "several": [2, 3], "count": [1, 2, 3, 4]}[kind]
    assert min(numbers.values()) > 6


def test_things_can_be_told_from_their_ground(composed: list[Scene]) -> None:
    for scene in composed:
        picture = np.asarray(scene.picture, dtype=np.float32)
        for thing in scene.placed:
            left, top, right, bottom = (round(SIZE * edge) for edge in thing.box)
            around = picture[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8]
            assert around.std((0, 1)).max() > 8


def test_a_scene_is_its_seed(things: list[Thing]) -> None:
    photo = Image.linear_gradient("L").convert("RGB")
    for kind, seed in product(KINDS, range(3)):
        one, same = (compose_scene(things, np.random.default_rng(seed), kind, photos=[photo]) for _ in range(2))
        assert (one.placed, one.picture.tobytes()) == (same.placed, same.picture.tobytes())
        for skill in SKILLS:
            first, second = (ask(one, skill, np.random.default_rng(seed), names=NAMES) for _ in range(2))
            assert first == second


def test_too_few_different_things_are_an_error(things: list[Thing]) -> None:
    cake, other = (Thing(name, things[0].cutout, None) for name in ("pink cake", "birthday cake"))
    with pytest.raises(ValueError, match="1 of 2 things can be used, 2 different ones are needed"):
        compose_scene([cake, other], np.random.default_rng(0), "several")
    with pytest.raises(ValueError, match="0 of 1 things can be used, 1 different ones are needed"):
        compose_scene([Thing("grapes", things[0].cutout, None)], np.random.default_rng(0), "count")


@pytest.mark.parametrize("skill", SKILLS)
def test_answers_fit_and_questions_do_not_give_them_away(composed: list[Scene], skill: Skill) -> None:
    number = 0
    for _, made in asked(composed, skill, 3):
        number += 1
        assert made.accepted[0] in made.choices
        assert len(set(made.choices)) == len(made.choices) >= 2
        assert is_right(made, made.answer)
        assert "{" not in made.question + made.answer
        if made.choices != YES_NO and skill != "largest":
            assert not any(re.search(rf"\b{word}\b", made.question.lower()) for word in made.accepted)
    assert number >= 60


def test_yes_and_no_are_balanced(composed: list[Scene]) -> None:
    for skill in ("presence", "position"):
        answers = [made.accepted[0] for _, made in asked(composed, skill, 12) if made.choices == YES_NO]
        assert len(answers) >= 250
        assert answers.count("yes") / len(answers) == pytest.approx(0.5, abs=0.07)


def test_answers_are_the_scenes(composed: list[Scene]) -> None:
    for scene, made in asked(composed, "presence"):
        named = [thing.name for thing in scene.placed if thing.name in made.answer]
        assert (made.accepted == ("yes",)) == bool(named or "mice" in made.answer)
    for scene, made in asked(composed, "count"):
        assert made.accepted[1] == str(len(scene.placed))
    for scene, made in asked(composed, "colour"):
        assert made.accepted[0] in {thing.colour for thing in scene.placed}


def test_sides_and_places_are_those_of_the_boxes() -> None:
    cat = Placed("cat", None, (0.1, 0.4, 0.3, 0.6), 0.04)
    car = Placed("car", None, (0.6, 0.4, 0.9, 0.7), 0.09)
    sun = Placed("sun", None, (0.4, 0.0, 0.6, 0.2), 0.04)
    assert (side_of(cat, car), side_of(car, cat)) == ("to the left of", "to the right of")
    assert side_of(sun, cat) is None
    assert side_of(cat, cat) is None
    assert [place_of(thing) for thing in (cat, car, sun)] == ["left", "right", "top"]
    scene = Scene(Image.new("RGB", (SIZE, SIZE)), (cat, car), "several")
    rng = np.random.default_rng(1)
    made = [m for m in (ask(scene, "position", rng, names=("dog", "hen", "cow")) for _ in range(200)) if m]
    right = {"What is to the left of the car?": "A cat is to the left of the car."}
    right |= {"Is the cat to the left of the car?": "Yes, the cat is to the left of the car."}
    right |= {"Is the car to the left of the cat?": "No, the car is to the right of the cat."}
    right |= {"Where is the car?": "The car is on the right."}
    assert right.items() <= {m.question: m.answer for m in made}.items()
    beside = next(m for m in made if m.question in right and m.accepted == ("cat",))
    assert sorted(beside.choices)[0] == "cat"
    assert len(beside.choices) == 4


def test_what_is_like_a_thing_is_asked_for_and_what_could_be_meant_is_not() -> None:
    scene = Scene(Image.new("RGB", (SIZE, SIZE)), (Placed("hot dog", None, (0.1, 0.1, 0.5, 0.5), 0.1),), "single")
    rng = np.random.default_rng(2)
    similar = {"hot dog": ("taco", "dogs")}
    made = [ask(scene, "presence", rng, names=("dog", "hen"), similar=similar) for _ in range(200)]
    answers = Counter(m.answer for m in made if m)
    assert set(answers) == {"Yes, there is a hot dog.", "No, there is no taco.", "No, there is no hen."}
    assert answers["No, there is no taco."] > 25
    assert ask(scene, "count", rng, names=()) is None
    assert ask(scene, "largest", rng, names=()) is None
    assert ask(scene, "colour", rng, names=()) is None


@pytest.mark.parametrize(
    ("text", "right"),
    [("Three.", True), ("There are 3 cats", True), ("I see two, or three.", False), ("13 cats", False), ("", False)],
)
def test_the_first_number_counts(text: str, right: bool) -> None:
    made = Asked("How many cats are there?", "", "count", ("three", "3"), ("one", "two", "three", "four"))
    assert is_right(made, text) is right


def test_the_first_word_or_choice_counts() -> None:
    presence = Asked("Is there a cat?", "", "presence", ("no",), YES_NO)
    assert [is_right(presence, text) for text in ("No, there is not.", "no", "Yes. No.", "There is no cat", "")] == [
        *(True, True, False, False, False),
    ]
    colour = Asked("What colour is the cat?", "", "colour", ("grey", "gray"), COLOURS)
    assert [is_right(colour, text) for text in ("It is gray.", "Black and grey", "The cat is greyish")] == [
        *(True, False, False),
    ]
    beside = Asked("What is above the hen?", "", "position", ("cat",), ("dog", "cat", "cow"))
    assert [is_right(beside, text) for text in ("Two cats.", "A dog, no cat.", "A cow")] == [True, False, False]


def test_captions_of_scenes_name_all_things_and_what_is_sure_of_them() -> None:
    cat, cup = Placed("cat", "black", (0, 0.4, 0.3, 0.7), 0.1), Placed("cup", None, (0.6, 0.4, 0.9, 0.7), 0.1)
    blank = Image.new("RGB", (1, 1))
    both = Scene(blank, (cat, cup), "several")
    assert shown(both) == "a cat and a cup"
    assert detailed(both) == (
        "The picture shows a cat and a cup. The cat is black and to the left of the cup. "
        "The cup is to the right of the cat."
    )
    assert detailed(Scene(blank, (cat,), "single")) == "The picture shows a cat. It is black and on the left."
    assert shown(Scene(blank, (cat, cat, cat), "count")) == "three cats"
    assert detailed(Scene(blank, (cat, cat), "count")) == "The picture shows two cats. They are black."
    assert listed(["un gato", "un perro", "una taza"], "y") == "un gato, un perro y una taza"
