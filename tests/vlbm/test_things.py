"""Regions are found and cut out, and become things with names, colours, places and what they are to each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from vlbm.data.colours import COLOURS
from vlbm.data.compose import SIZE
from vlbm.data.scenes import Placed, Scene, Thing, compose_scene
from vlbm.evidence.marks import NUMBERS, WORDS
from vlbm.evidence.marks import Thing as Seen
from vlbm.evidence.paint import PAINT, paint_of
from vlbm.evidence.regions import LEAST, RegionFinder, cut
from vlbm.evidence.runs import (
    ABOVE,
    ALIAS,
    BELOW,
    BIGGER,
    CAPTION,
    COLOUR,
    FINE,
    GROUP,
    KIND,
    LEFT,
    NUMBER,
    PLACE,
    RIGHT,
    THING,
)
from vlbm.evidence.things import Sighted
from vlbm.evidence.trust import ClassTrust, evened
from vlbm.recipes import regions as recipe
from vlbm.recipes.trust import fit_trust

CELLS, SIDE, CHANNELS = 49, 7, 5


def painted(scene: Scene) -> torch.Tensor:
    """A grid [n,d_v] that has seen a scene: each cell's mean colour, where it lies, and a one."""
    pixels = torch.from_numpy(np.array(scene.picture.resize((SIDE, SIDE), Image.Resampling.BOX))).float() / 255
    return torch.cat([pixels.flatten(0, 1), torch.ones(CELLS, 1), pixels.flatten(0, 1).mean(1, keepdim=True)], dim=1)


def dots(many: int, seed: int) -> list[Scene]:
    """Black discs on white."""
    disc = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ImageDraw.Draw(disc).ellipse((0, 0, 63, 63), fill="black")
    rng, made = np.random.default_rng(seed), []
    for _ in range(many):
        scene = compose_scene([Thing.of("ball", disc)], rng, "count")
        canvas = Image.new("RGB", (SIZE, SIZE), "white")
        for thing in scene.placed:
            canvas.paste("black", tuple(int(side * SIZE) for side in thing.box))  # type: ignore[arg-type]
        made.append(Scene(canvas, scene.placed, "count"))
    return made


@pytest.fixture(scope="module")
def finder() -> RegionFinder:
    scenes = dots(400, seed=1)
    finder = RegionFinder(CHANNELS, CELLS)
    patch = pytest.MonkeyPatch()
    patch.setattr(recipe, "STEPS", 250)
    patch.setattr(recipe, "BATCH", 24)
    recipe.fit_finder(finder, torch.stack([painted(scene) for scene in scenes]), scenes, lambda *_: None)
    patch.undo()
    return finder


def test_it_learns_where_things_are(finder: RegionFinder) -> None:
    scenes = dots(60, seed=2)
    found = finder.find(torch.stack([painted(scene) for scene in scenes]), 6)
    counts = (found.scores > 0).sum(dim=1).tolist()
    right = sum(count == len(scene.placed) for count, scene in zip(counts, scenes, strict=True))
    assert right > 0.8 * len(scenes)
    assert not any(parameter.requires_grad for parameter in finder.parameters())
    middles = (found.boxes[..., :2] + found.boxes[..., 2:]) / 2
    for row, scene in enumerate(scenes[:20]):
        if counts[row] == len(scene.placed):
            wanted = torch.tensor([thing.middle for thing in scene.placed])
            assert torch.cdist(middles[row, : counts[row]], wanted).min(dim=1).values.max() < 0.15


def test_of_two_boxes_of_one_thing_the_better_stays() -> None:
    finder = RegionFinder(CHANNELS, CELLS)
    told = torch.full((1, 5, CELLS), -9.0)
    told[0, 1:3] = 0
    told[0, 3:] = math.log(3)
    told[0, 0, 16], told[0, 0, 17], told[0, 0, 48] = 2.0, 1.0, 0.5
    finder.forward = lambda grid: told  # type: ignore[method-assign]
    found = finder.find(torch.zeros(1, CELLS, CHANNELS), 6)
    assert (found.scores > 0).sum() == 2
    assert found.boxes[0, 0].tolist() == pytest.approx([1 / 7, 1 / 7, 4 / 7, 4 / 7])
    assert found.boxes[0, 1, 2:].tolist() == [1, 1]  # cut off at the picture's edge
    told[0, 0] = math.log(LEAST / (1 - LEAST)) - 0.1
    assert not finder.find(torch.zeros(1, CELLS, CHANNELS), 6).scores.any()


def test_a_cut_shows_the_box() -> None:
    pixels = torch.zeros(2, 3, 40, 40)
    pixels[1, 0, 20:, 20:] = 1
    made = cut(pixels, torch.tensor([[0.5, 0.5, 1, 1], [0, 0, 0.4, 0.4], [0.5, 0.5, 1, 1]]), torch.tensor([1, 1, 0]))
    assert made.shape == (3, 3, 40, 40)
    assert made[0, 0, 5:, 5:].min() > 0.999
    assert made[1].max() == 0
    assert made[2].max() == 0
    assert cut(pixels, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)).shape == (0, 3, 40, 40)


def thing(token: int, box: tuple[float, ...], *more: tuple[float, ...], colour: str = "red") -> Seen:
    return Seen((50, token), (50, token), 0.8, (box, *more), (COLOURS.index(colour), 0.5))


@pytest.fixture(scope="module")
def table(tiny_table: Any) -> Any:
    things = tiny_table.things
    things.words.copy_(torch.arange(100, 100 + len(WORDS)))
    things.articles.fill_(50)
    return things


@pytest.fixture(scope="module")
def tiny_table() -> Any:
    return small_table()


def small_table(**settings: Any) -> Any:
    from vlbm.config import VLBMConfig
    from vlbm.evidence.table import EvidenceTable

    usual: dict[str, Any] = {
        "class_groups": 3,
        "name_tokens": 2,
        "memory_pictures": 3,
        "caption_tokens": 3,
        "languages": ["en", "de"],
        "evidence_groups": 1,
        "evidence_fine": 0,
        "evidence_neighbours": 1,
        "evidence_regions": 4,
    }
    text = {"model_type": "llama", "num_hidden_layers": 2, "vocab_size": 300}
    config = VLBMConfig(text_config=text, fusion_layers=(1,), **(usual | settings))
    return EvidenceTable(config, classes=1000, width=config.encoder_spec.style)


def marks(table: Any, *things: Seen, language: int = 0) -> dict[tuple[int, int], list[int]]:
    """Kind and token before -> what is said."""
    _, evidence = table.laid([things], torch.tensor([language]))
    said: dict[tuple[int, int], list[int]] = {}
    for kind, previous, token in zip(
        evidence.kind[0].tolist(), evidence.previous[0].tolist(), evidence.tokens[0].tolist(), strict=True
    ):
        said.setdefault((kind, previous), []).append(token)
    return said


def word(text: str) -> int:
    return 100 + WORDS.index(text)


def test_marks_say_colour_place_number_and_what_is_beside(table: Any) -> None:
    said = marks(table, thing(7, (0, 0.4, 0.3, 0.7)), thing(8, (0.7, 0.45, 0.9, 0.6), colour="blue"))
    assert said[COLOUR, 7] == [word("red")]
    assert said[COLOUR, 8] == [word("blue")]
    assert said[PLACE, 7] == [word("left")]
    assert said[PLACE, 8] == [word("right")]
    assert said[NUMBER, 7] == [word("one")]
    assert said[LEFT, 8] == [7]
    assert said[RIGHT, 7] == [8]
    assert said[BIGGER, 8] == [7]
    assert (BIGGER, 7) not in said
    said = marks(table, thing(7, (0.4, 0, 0.6, 0.2), (0, 0, 0.1, 0.1)), thing(8, (0.4, 0.7, 0.6, 0.9)))
    assert said[NUMBER, 7] == [word("two")]
    assert said[ABOVE, 8] == [7]
    assert said[BELOW, 7] == [8]
    assert marks(table, thing(7, (0.4, 0.4, 0.6, 0.6)))[PLACE, 7] == [word("middle")]
    assert marks(table, thing(7, (0, 0, 0.3, 0.3)))[PLACE, 7] == [word("left"), word("top")]


def test_more_than_there_are_words_for_is_the_most_that_there_is(table: Any) -> None:
    boxes = [(0.1 * n, 0.1, 0.1 * n + 0.1, 0.2) for n in range(8)]
    assert marks(table, thing(7, *boxes))[NUMBER, 7] == [word(NUMBERS[-1])]


def test_marks_are_in_the_first_language_and_names_in_each(table: Any) -> None:
    assert not marks(table, thing(7, (0, 0, 1, 1)), language=1)
    runs, _ = table.laid([[thing(7, (0, 0, 1, 1))], []], torch.tensor([1, 0]))
    assert runs.tokens.tolist() == [[[50, 7]], [[-1, -1]]]
    assert runs.kind.tolist() == [[THING], [THING]]
    assert runs.confidence.tolist() == [[pytest.approx(0.8)], [0]]


def test_regions_that_look_alike_are_one_thing(tiny_table: Any, table: Any) -> None:
    memory, width = tiny_table.memory, tiny_table.memory.mean.numel()
    memory.features.zero_()
    memory.features[torch.arange(3), torch.arange(3)] = 1
    memory.tokens[0] = torch.tensor([[50, 7, -1], [50, 8, -1], [50, 9, -1]])
    memory.tokens[1] = torch.tensor([[60, 17, -1], [-1, -1, -1], [60, 19, -1]])
    style = torch.zeros(3, width)
    style[0, 0], style[1, 0], style[2, 1] = 1, 1, 1
    boxes = torch.tensor([[0, 0, 0.2, 0.2], [0.5, 0, 0.7, 0.2], [0.5, 0.5, 0.9, 0.9]])
    sighted = Sighted(boxes, torch.tensor([0.9, 0.8, 0.7]), style, torch.zeros(3, 1000), torch.zeros(3, PAINT))
    found = table.things(sighted, tiny_table, 1)
    assert [(one.first, one.name, len(one.boxes)) for one in found] == [((50, 7), (60, 17), 2), ((50, 8), (50, 8), 1)]
    assert found[0].confidence == pytest.approx(0.9, abs=0.05)
    exclude = torch.tensor([[True, False, False]])
    assert table.things(sighted, tiny_table, 0, exclude=exclude)[0].first == (50, 8)
    assert table.things(Sighted(*(value[:0] for value in sighted)), tiny_table, 0) == []
    runs, evidence = table.describe([sighted], tiny_table, languages=torch.tensor([0]))
    assert runs.tokens.shape == (1, 2, 2)
    assert evidence.mask.all()


def test_a_thing_has_other_likely_names_but_no_common_words() -> None:
    table = small_table(evidence_groups=3)
    table.group_of_class.copy_(torch.arange(1000) % 3)
    table.group_tokens[0] = torch.tensor([[1, 11], [1, 12], [1, 13]])
    logits = torch.full((1, 1000), -20.0)
    logits[0, :3] = torch.tensor([0.0, -0.5, -0.8])
    style = torch.zeros(1, table.memory.mean.numel())
    sighted = Sighted(torch.tensor([[0, 0, 1, 1.0]]), torch.tensor([0.5]), style, logits, torch.zeros(1, PAINT))
    (found,) = table.things.things(sighted, table, 0)
    assert found.name == (1, 11)
    assert [token for token, _ in found.aliases] == [12, 13]
    assert [sure / found.confidence for _, sure in found.aliases] == pytest.approx([math.exp(-0.5), math.exp(-0.8)])
    logits[0, 2] = -2
    table.things.common[3] = 12
    (found,) = table.things.things(sighted, table, 0)
    assert found.aliases == ()
    _, evidence = table.things.laid([[found]], torch.tensor([0]))
    assert not (evidence.kind == ALIAS).any()


def test_matched_regions_are_those_that_share_most_of_a_box() -> None:
    scene = Scene(Image.new("RGB", (1, 1)), (Placed("cat", "red", (0, 0, 0.5, 0.5), 0.2),), "single")
    boxes = torch.tensor([[0.5, 0.5, 1, 1], [0, 0, 0.45, 0.5]])
    columns = (torch.zeros(2, width) for width in (3, 4, PAINT))
    found = recipe.Cuts(torch.tensor([0, 2]), boxes, torch.ones(2), *columns)
    assert recipe.matched(found, [scene]) == [(1, 0, 0)]
    assert [len(part) for part in found.of(0)] == [2] * len(Sighted._fields)


def test_paint_tells_what_is_in_the_middle_from_what_is_around() -> None:
    regions = torch.ones(2, 3, 60, 60)
    regions[0, :, 14:46, 14:46] = torch.tensor([0.9, 0.1, 0.1])[:, None, None]
    middle, around, edge = paint_of(regions).view(2, 3, -1).unbind(1)
    red, white = COLOURS.index("red") + 1, COLOURS.index("white") + 1
    assert middle[0].argmax() == red
    assert middle[0, red] == 1
    assert 0 < around[0, red] < 1
    assert edge[:, white].tolist() == [1, 1]
    assert middle[1, white] == 1
    assert paint_of(regions[:0]).shape == (0, PAINT)


def test_colours_are_learnt_from_paint_where_the_style_says_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    colours = [COLOURS[number] for number in torch.randint(len(COLOURS), (300,), generator=generator).tolist()]
    paint = torch.rand(300, PAINT, generator=generator) / 4
    paint[torch.arange(300), [COLOURS.index(colour) for colour in colours]] += 0.5
    style = torch.randn(300, 8, generator=generator)
    mean, scale = torch.zeros(8), torch.ones(8)
    fitted = recipe.fit_colours(style, paint, colours, mean=mean, scale=scale, tell=lambda *_: None)
    seen = torch.cat([evened(style, mean, scale), paint], dim=1)
    told = (seen @ fitted["weight"].T + fitted["bias"]).argmax(dim=1).tolist()
    assert sum(COLOURS[number] == colour for number, colour in zip(told, colours, strict=True)) > 285


def test_trust_tells_drawings_from_photos() -> None:
    trust = ClassTrust(4)
    probability = torch.tensor([[0.0, 0.3, 0.9]])
    assert torch.allclose(trust(probability, torch.zeros(1, 4)), probability)
    generator = torch.Generator().manual_seed(0)
    style = torch.randn(400, 4, generator=generator)
    chance = torch.rand(400, generator=generator)
    photo = style[:, 0] > 0
    right = photo & (torch.rand(400, generator=generator) < chance)
    trust.load_state_dict(fit_trust(chance, style, right.tolist()))
    believed = trust(torch.full((400, 1), 0.8), style)
    drawn, shot = believed[~photo], believed[photo]
    assert drawn.mean() < shot.mean() - 0.05
    assert trust.slope > 0


def told(table: Any, logits: torch.Tensor) -> dict[int, list[int]]:
    """First tokens of what is said of a picture, by kind."""
    runs = table.find(logits, torch.zeros(1, table.memory.mean.numel()))
    rows = zip(runs.kind[0].tolist(), runs.tokens[0].tolist(), strict=True)
    return {kind: [token for token in tokens if token >= 0] for kind, tokens in rows}


def test_a_name_is_not_said_twice_and_a_kind_only_where_no_name_is_sure() -> None:
    table = small_table(evidence_fine=1, class_kinds=1)
    table.group_of_class.copy_(torch.arange(1000) % 3)
    table.group_tokens[0] = torch.tensor([[1, -1], [2, -1], [3, -1]])
    table.class_tokens.copy_(torch.full((1000, 2), -1))
    table.class_tokens[:2, 0] = torch.tensor([1, 9])
    table.kind_of_class.fill_(0)
    table.kind_tokens[0] = torch.tensor([[7, -1]])
    sure = torch.full((1, 1000), -20.0)
    sure[0, 0] = 0
    assert told(table, sure) == {GROUP: [1], FINE: [], KIND: [], CAPTION: []}
    finer = sure.roll(1)
    assert told(table, finer)[FINE] == [9]
    assert told(table, torch.zeros(1, 1000))[KIND] == [7]


def test_a_thing_is_called_by_a_name_however_sure_its_kind_is() -> None:
    table = small_table(class_kinds=1, memory_pictures=0)
    table.group_of_class.copy_(torch.arange(1000) % 3)
    table.group_tokens[0] = torch.tensor([[1, -1], [2, -1], [3, -1]])
    table.kind_of_class.fill_(0)
    table.kind_tokens[0] = torch.tensor([[7, -1]])
    table.things.words.copy_(torch.arange(100, 100 + len(WORDS)))
    unsure = torch.zeros(1, 1000)
    unsure[0, 1] = 1.0
    assert told(table, unsure)[KIND] == [7]
    style = torch.zeros(1, table.memory.mean.numel())
    sighted = Sighted(torch.tensor([[0, 0, 1, 1.0]]), torch.ones(1), style, unsure, torch.zeros(1, PAINT))
    (found,) = table.things.things(sighted, table, 0)
    assert found.first == (2,)
    assert found.confidence < 0.5
