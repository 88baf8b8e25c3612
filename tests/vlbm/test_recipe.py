"""The packaged recipe: pictures become examples and a trained adapter; each of its steps does what it says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vlbm import conversion, packaged
from vlbm.cache import default_cache_dir
from vlbm.data.scenes import KINDS
from vlbm.data.stamps import read_stamps
from vlbm.engine.answer_language import answer_language
from vlbm.errors import WeightsDamaged, WeightsMissing
from vlbm.evidence.names import imagenet_names
from vlbm.evidence.runs import CAPTION, COLOUR, FINE, GROUP, THING, Evidence, Runs
from vlbm.perception import Visual
from vlbm.recipes import align, filling, regions, renderings, samples, scenes, space
from vlbm.recipes import material as materials
from vlbm.recipes import packaged as recipe
from vlbm.recipes.evidence import Account, bears_out, believed, harder, known
from vlbm.recipes.filling import fill
from vlbm.recipes.material import gather
from vlbm.recipes.others import QUESTIONS as OTHERS
from vlbm.recipes.phrases import GUESS, QUESTIONS, WORDINGS, Belief, answer
from vlbm.recipes.pictures import LANGUAGES, Picture, phrase_of
from vlbm.recipes.samples import SHARES, Samples
from vlbm.tasks import LANGUAGES as CALLED
from vlbm.training.encoded import Encoded

PLAN = replace(recipe.PLAN, steps=2, batch=3, evaluate_every=1, warmup=1, precision="no")
EIGHT = {"HELD_OUT": 3, "SCENES": 12, "EMPTY": 2, "WIDTH": 6, "STEPS": 4, "COLOUR_STEPS": 4, "PAIRS": 4, "SAME": -1.0}


def silent(*_: Any) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def small(stamp_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The recipe on eight stamps: cache folder, pictures."""
    patch = pytest.MonkeyPatch()
    found = [
        Picture(stamp.path, "stamps", stamp.head, "train", {"en": stamp.phrase, "de": f"das Ding {stamp.head}"})
        for stamp in read_stamps(stamp_folder)
    ]
    patch.setattr(recipe, "pictures", lambda *_: found)
    patch.setattr(recipe, "bare_answers", lambda *_: [("Hello?", (5, 6))])
    for module in (recipe, materials, filling, regions, renderings, scenes, space, align):
        for name, value in EIGHT.items():
            if hasattr(module, name):
                patch.setattr(module, name, value)
    patch.setattr(renderings, "VARIED", {"stamps": 1})
    patch.setattr(scenes, "DRAWN", 4)
    patch.setattr(materials, "APART", 3)
    cache = tmp_path_factory.mktemp("cache")
    convert = conversion.language_cache
    patch.setattr(conversion, "language_cache", lambda _, tell: convert(default_cache_dir(), tell))
    yield cache, found
    patch.undo()


@pytest.fixture(scope="module")
def material(small: Any) -> Any:
    cache, found = small
    model, processor, _ = recipe.fresh_model(found, cache, {}, silent)
    material = gather(model, processor, found, cache / "training", cache / "kept", silent)
    reader = fill(model, processor, material, cache / "kept", silent)
    return replace(material, others=[("Hello?", (5, 6))]), reader, processor


@pytest.fixture(scope="module")
def trained(small: Any, tmp_path_factory: pytest.TempPathFactory) -> recipe.Report:
    return recipe.train(out=tmp_path_factory.mktemp("trained"), cache_dir=small[0], plan=PLAN, tell=silent)


def test_it_trains_goes_on_where_it_was_and_what_it_wrote_loads(
    small: Any, trained: recipe.Report, tmp_path: Path
) -> None:
    cache, found = small
    assert [point.step for point in trained.points] == [1, 2]
    assert trained.pictures == len(found)
    again = recipe.train(out=tmp_path, cache_dir=cache, plan=PLAN, tell=silent)
    assert again.points == trained.points
    assert (tmp_path / packaged.ADAPTER).read_bytes() == (trained.folder / packaged.ADAPTER).read_bytes()
    model, processor = packaged.load_packaged(folder=tmp_path)
    assert model.config.memory_pictures == 8
    assert processor.fusion_begins == "question"
    assert processor.languages == list(LANGUAGES)


def test_a_trained_adapter_is_trained_further(small: Any, trained: recipe.Report, tmp_path: Path) -> None:
    (cache, _), first = small, trained.folder
    further = recipe.train(out=tmp_path, cache_dir=cache, plan=replace(PLAN, seed=5), tell=silent, start=first)
    assert [point.step for point in further.points] == [1, 2]
    name = "fusions.2.query.weight"
    one, other = (load_file(folder / packaged.ADAPTER)[name] for folder in (first, tmp_path))
    assert not torch.equal(one, other)
    begun = recipe.prepare(cache, {}, silent, start=first)
    assert torch.equal(begun.model.state_dict()[name].half(), one)
    assert begun.start


def test_an_adapter_of_another_model_is_named_before_the_work(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, _ = small
    monkeypatch.setattr(recipe, "gather", None)
    with pytest.raises(WeightsMissing, match=r"adapter.safetensors is not there: give a file with the weights"):
        recipe.prepare(cache, {}, silent, start=tmp_path)
    save_file({"fusions.0.alpha": torch.zeros(3)}, tmp_path / "adapter.safetensors")
    with pytest.raises(WeightsDamaged, match=r"adapter.safetensors is not weights of this recipe's adapter"):
        recipe.prepare(cache, {}, silent, start=tmp_path)


def test_scenes_are_of_things_that_one_can_ask_for(small: Any) -> None:
    _, found = small
    one = replace(found[0], concept="running", phrases={"en": "a person running"})
    assert {"running", "zzz"} < scenes.NO_THINGS
    named = scenes.things([*found, one, replace(one, concept="thumb", phrases={"en": "a thumbs up"})], "train")
    assert len(named) == len(found)
    assert all(thing.source < len(found) for thing in named)


def visual(example: Encoded) -> Visual:
    (seen,) = example.visuals
    assert isinstance(seen, Visual)
    return seen


@pytest.mark.parametrize("source", SHARES)
def test_every_source_gives_examples_that_ask_and_answer(source: str, material: Any) -> None:
    samples = Samples(*material, seed=3)
    for number in range(6):
        example = samples.draw(source, np.random.default_rng(number))
        text = samples.processor.tokenizer.decode(example.prompt)
        assert text.startswith("<|im_start|>user\n")
        assert text.endswith("<|im_start|>assistant\n")
        assert example.fusion_from == 0
        assert len(example.target) > 1
        assert visual(example).evidence.mask.any()


def test_a_word_that_means_nothing_is_translated_by_the_picture(material: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "NONCE", 1.0)
    monkeypatch.setattr(samples, "known", lambda _account, _thing: True)
    drawn = Samples(*material, seed=3)
    decode = drawn.processor.tokenizer.decode
    words = {word for picture in material[0].pictures for word in picture.phrases["en"].lower().split()} - {"a", "an"}
    for number in range(6):
        example = drawn.translation(np.random.default_rng(number))
        assert not words & set(re.findall(r"\w+", decode(example.prompt).lower()))
        said = decode(example.target).removesuffix("<|im_end|>")
        assert any(said in picture.phrases.values() for picture in material[0].pictures)


def test_what_is_known_is_named_just_so_and_most_surely() -> None:
    told = account((GROUP, "a dog", 0.3), (CAPTION, "a black cat", 0.5))
    assert known(told, "a black cat")
    assert not known(told, "a cat")
    assert not known(told, "a dog")
    assert not known(replace(told, spoken=("", "")), "a black cat")


def test_an_example_is_decided_by_its_number(material: Any) -> None:
    one, other = Samples(*material, seed=3), Samples(*material, seed=3)
    drawn = [other[5], one[5], one[6]]
    assert drawn[0].prompt == drawn[1].prompt
    assert drawn[0].target == drawn[1].target
    assert torch.equal(visual(drawn[0]).grid, visual(drawn[1]).grid)
    assert (drawn[1].prompt, drawn[1].target) != (drawn[2].prompt, drawn[2].target)
    with pytest.raises(IndexError):
        Samples(*material, seed=3, count=2)[2]


def test_scenes_are_the_same_each_time(material: Any) -> None:
    made = material[0].scenes
    assert made.scene(4).placed == made.facts(4).placed
    assert made.scene(4).picture.tobytes() == made.draw(4).tobytes()
    assert {made.facts(number).kind for number in range(3)} == set(KINDS)


def test_the_space_brings_drawings_of_one_thing_together() -> None:
    generator = torch.Generator().manual_seed(0)
    things = torch.randn(12, 5, generator=generator)
    hands = torch.randn(2, 20, generator=generator) * 4
    style = torch.cat([torch.cat([things, hands[h].expand(12, -1)], dim=1) for h in (0, 1)])
    style = torch.cat([style, style + 0.05 * torch.randn(24, 25, generator=generator)])
    names = [f"thing {n % 12}" for n in range(48)]
    patch = pytest.MonkeyPatch()
    for name, value in {"WIDTH": 6, "STEPS": 300, "PAIRS": 12}.items():
        patch.setattr(space, name, value)
    strange = [n % 24 >= 12 for n in range(48)]
    found = space.fit_space(style, names, names, [n < 12 for n in range(48)], list(range(48)), strange, strange, silent)
    patch.undo()

    def nearest(features: torch.Tensor) -> float:
        unit = torch.nn.functional.normalize(features, dim=1)
        return float(((unit[12:24] @ unit[:12].T).argmax(dim=1) == torch.arange(12)).float().mean())

    centred = torch.nn.functional.normalize((style - found.mean) * found.scale, dim=1)
    assert nearest(centred @ found.matrix.T) > nearest(centred) + 0.15
    assert found.vote[0] > 0


NONE = torch.zeros(1, 1, dtype=torch.long)
MARKS = Evidence(NONE, NONE, NONE + COLOUR, NONE, torch.ones(1, 1), NONE > 0, NONE == 0)


def account(*rows: tuple[int, str, float]) -> Account:
    kinds, texts, sure = zip(*rows, strict=True)
    tokens = torch.tensor([[n] for n in range(len(rows))])
    runs = Runs(tokens, torch.tensor(kinds), torch.zeros(len(rows), dtype=torch.long), torch.tensor(sure))
    return Account(runs, texts, tuple(f"<{text}>" for text in texts), MARKS)


def test_what_is_believed_is_what_the_evidence_bears_out() -> None:
    told = account((GROUP, "a dog", 0.6), (CAPTION, "a black cat", 0.5), (CAPTION, "a cat", 0.3))
    belief = believed(told, "a cat", "cat")
    assert (belief.phrase, belief.other) == ("<a cat>", "<a dog>")
    assert belief.confidence == pytest.approx(0.5)
    assert believed(told, "a brown hen", "hen") == Belief("<a dog>", GUESS, other="<a black cat>")
    assert believed(account((GROUP, "a dog", 0.1)), "a hen", "hen").phrase is None
    alike = account((CAPTION, "a cat", 0.3), (CAPTION, "a black cat", 0.2), (GROUP, "a dog", 0.1))
    assert believed(alike, "a hen", "hen") == Belief("<a cat>", GUESS, other="<a dog>")
    fine = believed(account((GROUP, "a cat", 0.9), (FINE, "a tabby cat", 0.8)), "a cat", "cat")
    assert fine.fine == "a tabby cat"


def test_evidence_is_dropped_but_never_all_of_it() -> None:
    told = account((GROUP, "a dog", 0.6), (FINE, "a pug", 0.5), (CAPTION, "a cat", 0.3))
    kinds = [
        {int(kind) for kind, text in zip(made.runs.kind, made.spoken, strict=True) if text}
        for made in (harder(told, np.random.default_rng(n)) for n in range(200))
    ]
    assert all(kinds)
    assert {GROUP, FINE, CAPTION} in kinds
    assert {GROUP, CAPTION} in kinds
    assert all(harder(told, np.random.default_rng(n), keep=CAPTION).spoken[2] for n in range(50))


def test_marks_go_with_the_things_that_they_are_about() -> None:
    told = account((GROUP, "a dog", 0.6), (THING, "a black cat", 0.5))
    made = [harder(told, np.random.default_rng(n)) for n in range(60)]
    assert {bool(one.spoken[1]): one.marks.mask.numel() for one in made} == {True: 1, False: 0}
    assert told.laid_out().mask.sum() == 5
    assert bears_out(told, ["cat"])
    assert not bears_out(told, ["cat", "dog"])


@pytest.mark.parametrize(
    ("belief", "said"),
    [
        (Belief("a cat", 0.9), "This is a cat."),
        (Belief("two flowers", 0.9), "These are two flowers."),
        (Belief("a cat", 0.4), "It looks like a cat."),
        (Belief("a cat", 0.3, other="a fox"), "It looks like a cat."),
        (Belief("a cat", 0.15, other="a fox"), "I am not sure. It could be a cat or a fox."),
        (Belief("a cat", 0.15), "I am not sure. It could be a cat."),
        (Belief("a cat", 0.02), "I cannot tell what is in this picture."),
        (Belief(None, 0.0), "I cannot tell what is in this picture."),
    ],
)
def test_answers_are_as_sure_as_the_evidence(belief: Belief, said: str) -> None:
    assert answer("what", belief) == said


def test_other_languages_read_well_with_and_without_an_article() -> None:
    assert answer("describe", Belief("un gato", 0.9), "es") == "La imagen muestra un gato."
    assert answer("describe", Belief("gato", 0.9), "es") == "La imagen muestra: gato."
    assert answer("short", Belief("eine Katze", 0.9), "de") == "eine Katze."
    assert answer("alt", Belief("chat", 0.9), "fr") == "chat"
    assert answer("alt", Belief("a cat", 0.9)) == "A cat"
    assert answer("short", Belief("eine Katze", 0.15, other="ein Hund"), "de") == "Vielleicht eine Katze."
    assert answer("alt", Belief("a cat", 0.3)) == "Maybe a cat"
    assert answer("describe", Belief("a cat", 0.9, fine="a tabby")) == "The picture shows a cat. It looks like a tabby."


def test_captions_become_phrases() -> None:
    assert phrase_of("Eine Katze.", "de") == "eine Katze"
    assert phrase_of("Babyflasche", "de") == "Babyflasche"
    assert phrase_of("grinning face", "en") == "a grinning face"
    assert phrase_of("A brown hen.", "en") == "a brown hen"


def test_names_that_training_never_speaks_are_in_no_caption() -> None:
    names = imagenet_names()
    said = Picture(Path("x.png"), "stamps", "goldfish", "train", {"en": "a goldfish"})
    before, after = materials.unspoken(names, []), materials.unspoken(names, [said])
    assert 50 < len(before) <= materials.MOST_UNSPOKEN
    assert all(names.groups[n] != "goldfish" for n in after)


@pytest.mark.parametrize("language", WORDINGS)
def test_the_language_of_a_question_is_told(language: str) -> None:
    for asked in (text for texts in QUESTIONS[language].values() for text in texts):
        assert answer_language(asked, LANGUAGES) == language, asked
    for asked in (text for texts in QUESTIONS["en"].values() for text in texts):
        assert answer_language(f"{asked} Answer in {CALLED[language]}.", LANGUAGES) == language
    assert answer_language("Translate into Spanish: bat", LANGUAGES) == "es"
    assert {answer_language(asked, LANGUAGES) for asked in OTHERS} <= {"en", "es"}
    assert answer_language("¿Qué hay en la imagen?", ("en",)) == "en"
