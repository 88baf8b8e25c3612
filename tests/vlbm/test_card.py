"""The card: each section's arithmetic on tiny models, what is kept and used again, and the document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from transformers import GPT2Config

import vlbm
from tests.vlbm.conftest import opened
from vlbm.cli import EXIT_ERROR, main
from vlbm.data.prepared import FORMAT, PICTURES, RECORD
from vlbm.data.records import Example, write_jsonl
from vlbm.data.sources import SOURCES
from vlbm.data.splits import CONCEPTS, RENDERINGS, SPLITS, TRAIN
from vlbm.engine import Engine
from vlbm.errors import ConfigError, DataError, EvaluationError
from vlbm.evaluation.ambiguous import Word, picture, words
from vlbm.evaluation.card import languages, meanings, named, registry, things
from vlbm.evaluation.card.bench import Bench, names_of, with_labels
from vlbm.evaluation.card.calibration import bins, calibration, error
from vlbm.evaluation.card.chat import chat
from vlbm.evaluation.card.document import write
from vlbm.evaluation.card.neighbours import Neighbours
from vlbm.evaluation.card.run import Card, measure
from vlbm.evaluation.card.section import Figure, Row, Section, above
from vlbm.evaluation.card.spoken import profile, speaks, spoken
from vlbm.evaluation.card.taught import taught
from vlbm.evaluation.card.things import NEAREST, NONE, SHUFFLED, Answers, Thing, another
from vlbm.evaluation.confidence import Interval
from vlbm.evaluation.naming import Answer, Posed, asserts
from vlbm.evaluation.pages import Page, PageRow
from vlbm.evidence.names import imagenet_names
from vlbm.evidence.runs import CAPTION
from vlbm.memory.index import Entry, Index
from vlbm.memory.teach import encoder_identity, teach
from vlbm.perception import style_of
from vlbm.recipes.pictures import LANGUAGES, Picture
from vlbm.tokenizer import train_tokenizer

COLOURS = {"ball": "crimson", "box": "seagreen", "moon": "gold", "pond": "royalblue"}
TOLD = (
    "A picture has these labels, the likeliest first:",
    "What is in this picture?",
    "Translate into Spanish: a ball",
)


@pytest.fixture(scope="module")
def made() -> tuple[Any, Any]:
    """A small untrained model of one word embedding a token, whose fusion is open."""
    torch.manual_seed(0)
    model, processor = vlbm.build(
        GPT2Config(vocab_size=300, n_layer=2, n_head=2, n_embd=32, n_positions=256, bos_token_id=0, eos_token_id=1),
        tokenizer=train_tokenizer(list(TOLD) * 4, vocab_size=300),
        encoder="resnet18",
        encoder_weights="random",
        fusion="sum_channel",
        fusion_heads=2,
        fusion_head_width=8,
        image_views=1,
    )
    return opened(model, alpha=2.0), processor


def examples(folder: Path) -> list[Example]:
    """Each thing as trained on, as another maker drew it, and two things that are held out, by two makers."""
    found = []
    for split, makers, things_drawn in (
        (TRAIN, ("noto",), ("ball", "box")),
        (RENDERINGS, ("twemoji",), ("ball", "box")),
        (CONCEPTS, ("noto", "fluent"), ("moon", "pond")),
    ):
        for maker in makers:
            for thing in things_drawn:
                path = folder / PICTURES / maker / f"{thing}-{split}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (48, 40 + len(maker)), COLOURS[thing]).save(path)
                found += [
                    Example(
                        (path,),
                        thing if language == "en" else f"{thing}-{language}",
                        "caption",
                        "",
                        language,
                        thing,
                        split,
                    )
                    for language in LANGUAGES
                ]
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of prepared sources: the pictures in one, the others empty."""
    cache = tmp_path_factory.mktemp("data")
    for source in SOURCES.values():
        (cache / source.name).mkdir()
        rows = examples(cache / source.name) if source.name == "emoji" else []
        splits = {split: sum(row.split == split for row in rows) for split in SPLITS}
        for split in (split for split in SPLITS if splits[split]):
            write_jsonl(cache / source.name / f"{split}.jsonl", [row for row in rows if row.split == split])
        record = {"format": FORMAT, "pins": list(source.pins), "languages": sorted(LANGUAGES), "splits": splits}
        (cache / source.name / RECORD).write_text(json.dumps(record), encoding="utf-8")
    return cache


@pytest.fixture
def bench(made: tuple[Any, Any], data: Path, tmp_path: Path) -> Bench:
    return Bench(
        model=made[0],
        processor=made[1],
        data=data,
        photos=tmp_path,
        cache=tmp_path,
        tell=lambda *_: None,
        limit=None,
        batch=2,
    )


Ask = Callable[..., list[Answer]]


def says(say: Callable[[Bench, Posed], str]) -> Ask:
    """In place of asking a model: what is said to each question."""
    return lambda bench, _stage, posed, **_: [Answer(say(bench, one), 0.5 if one.picture else None) for one in posed]


def by_picture(answers: dict[bytes | None, str]) -> Ask:
    """What is said of each picture."""
    return says(lambda _, one: answers.get(one.picture, "I cannot tell."))


# What names things


def test_another_thing_shares_no_word() -> None:
    four = [
        Thing("1", b"1", ("cat",)),
        Thing("2", b"2", ("cat", "pet")),
        Thing("3", b"3", ("pet",)),
        Thing("4", b"4", ("bus",)),
    ]
    assert another(four, 0).name == "3"
    assert another(four, 1).name == "4"
    with pytest.raises(EvaluationError, match="nothing else is shown than cat"):
        another(four[:2], 0)


def test_an_answer_goes_astray_only_where_it_asserts_something_else() -> None:
    asked = [Thing(str(number), b"", ("cat",)) for number in range(4)]
    said = ["It is a cat.", "It is a bus.", "It looks like a bus.", "I cannot tell what is in this picture."]
    answers = Answers(asked, [Answer(text, 0.5) for text in said], {})
    assert answers.hits == [True, False, False, False]
    assert answers.astray == [False, True, False, False]


@pytest.mark.parametrize("text", ["I am not sure. It could be a cat.", "They look like cats.", "Perhaps a cat.", ""])
def test_hedges_are_heard(text: str) -> None:
    assert not asserts(text)


def test_renderings_are_asked_with_every_baseline(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {e.concept: e.pictures[0].read_bytes() for e in bench.examples(RENDERINGS)}
    monkeypatch.setattr(Bench, "ask", by_picture({shown["ball"]: "It is a ball.", shown["box"]: "It is a ball."}))
    monkeypatch.setattr(bench, "bare", lambda _stage, prompts: ["A box." for _ in prompts])
    section = named.renderings(bench)
    figure, shuffled = section.figures
    assert figure.count == 2
    assert figure.measured.value == 50
    assert figure.met is False
    assert {way: value.value for way, value in figure.baselines.items()} == {
        NEAREST: 100,  # plain colours: the trained ones are the same
        things.PROMPTED: 50,
        things.LABEL: 0,
        SHUFFLED: 50,
        NONE: 0,
    }
    assert shuffled.measured.value == 50
    assert [row.right for row in sorted(section.rows, key=lambda row: row.expected)] == [True, False]


def test_a_small_model_is_asked_for_real(bench: Bench) -> None:
    section = named.concepts(bench)
    assert [row.shown.endswith(f"{row.expected}-{CONCEPTS}.png") for row in section.rows] == [True] * 4
    assert all(row.confidence == 0 for row in section.rows)  # it has no evidence
    assert Section.read(json.loads(json.dumps(section.plain()))) == section


def test_a_target_is_a_value_and_a_distance() -> None:
    def at(value: float) -> Interval:
        return Interval(value, value - 1, value + 1)

    assert above(at(66), {"a": at(61), "b": at(10)}, 65, 5)
    assert not above(at(66), {"a": at(62)}, 65, 5)
    assert not above(at(64), {}, 65, 5)


# What is known of pictures without the model


def test_labels_add_up_to_everyday_names() -> None:
    names = imagenet_names()
    logits = torch.full((len(names.classes),), -20.0)
    cats = [place for place, group in enumerate(names.group_of_class) if names.groups[group] == "cat"]
    logits[cats] = float(np.log(0.4 / len(cats)))
    logits[names.classes.index("toaster")] = float(np.log(0.3))
    assert names_of(logits)[:2] == ["cat", "toaster"]
    assert names_of(torch.zeros(7)) == []
    assert with_labels(["cat", "fox"], "What is it?").endswith("first: cat, fox. What is it?")


def test_what_was_seen_for_neighbours_is_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bench.neighbours
    monkeypatch.setattr(bench.model, "encode", lambda _pixels: pytest.fail("looked again"))
    again = replace(bench).neighbours
    assert torch.equal(first.features, again.features)
    assert again.captions[0]["es"] in ("ball-es", "box-es")


def test_the_nearest_speaks_the_language_asked_for() -> None:
    known = Neighbours(
        torch.eye(3), ({"en": "a cat", "es": "un gato"}, {"en": "a dog"}, {"en": "a cow", "es": "una vaca"})
    )
    assert known.say(torch.tensor([0.1, 1.0, 0.2]), "en") == "a dog"
    assert known.say(torch.tensor([0.1, 1.0, 0.2]), "es") == "una vaca"
    more = known.beside(torch.tensor([[0.0, 1.0, 0.2]]), ({"es": "un perro"},))
    assert more.say(torch.tensor([0.1, 1.0, 0.2]), "es") == "un perro"
    with pytest.raises(DataError, match="no training picture has a caption in pt"):
        known.say(torch.ones(3), "pt")


def test_data_that_is_not_prepared_is_named(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="vlbm data prepare --language en --language es"):
        replace(bench, data=tmp_path / "nothing").examples(TRAIN)


def test_samples_are_the_seed_s(bench: Bench) -> None:
    items = list(range(100))
    assert bench.some(items, 10) == bench.some(items, 10)
    assert bench.some(items, 10) != replace(bench, seed=1).some(items, 10)
    assert replace(bench, limit=3).some(items, 10) == bench.some(items, 10)[:3]


# Teaching


def test_what_is_lent_is_seen_by_this_bench_alone(bench: Bench, made: tuple[Any, Any]) -> None:
    model, processor = made
    picture = bench.examples(CONCEPTS)[0].pictures[0].read_bytes()
    index = Index(
        encoder_identity(model, processor), (Entry("a ball", "en", "0", "b"),), style_of(*made, picture)[None]
    )
    told = replace(bench, lent=teach(model, processor, index))

    def captions(asked: Bench) -> set[str]:
        evidence = asked.see(picture, "en").evidence
        tokens = evidence.tokens[(evidence.kind == CAPTION) & ~evidence.ends]
        return set(processor.tokenizer.decode(tokens).split())

    assert "ball" not in captions(bench)
    assert "ball" in captions(told)
    assert "ball" not in captions(bench)


def test_what_is_taught_is_asked_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    moon = next(e.pictures[0].read_bytes() for e in bench.examples(CONCEPTS) if "noto/moon" in str(e.pictures[0]))

    def say(asked: Bench, one: Posed) -> str:
        return "A moon." if asked.lent is not None and one.picture == moon else "A bus."

    monkeypatch.setattr(Bench, "ask", says(say))
    figure, shuffled = taught(bench).figures
    assert shuffled.met
    assert figure.count == 2
    assert figure.measured.value == 50
    assert {name: value.value for name, value in figure.baselines.items()} == {"before": 0, NEAREST: 100, SHUFFLED: 0}


# Classes


def test_a_verdict_is_sure_of_its_class() -> None:
    found = profile(7, 50, np.random.default_rng(0)).exp()
    assert found.argmax() == 7
    assert float(found.sum()) == pytest.approx(1, abs=1e-4)
    assert 0.45 <= float(found[7]) <= 0.995


def test_a_class_is_spoken_by_either_name_whole() -> None:
    names = imagenet_names()
    tabby = next(place for place, name in enumerate(names.classes) if "tabby" in name)
    assert speaks("It is a cat.", tabby, names)
    assert speaks(f"I see two {names.classes[tabby]}s.", tabby, names)
    assert not speaks("A catalogue.", tabby, names)


def test_only_held_out_classes_are_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    names = imagenet_names()
    monkeypatch.setattr("vlbm.evaluation.card.spoken._say", lambda *_: [f"A {names.classes[9]}.", "A bus.", "A bus."])
    monkeypatch.setattr(bench, "bare", lambda _stage, prompts: ["" for _ in prompts])
    section = spoken(bench, {9, 30, 500})
    (figure,) = section.figures
    assert figure.count == 3
    assert sorted(int(row.shown.split()[1]) for row in section.rows) == [9, 30, 500]
    assert "never spoke" in section.how


# Meanings and languages


@pytest.fixture
def bat(data: Path) -> Word:
    word = next(word for word in words() if word.word == "bat")
    for number, sense in enumerate(word.senses):
        path = picture(data, sense.pictures[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), ("black", "white")[number]).save(path)
    return word


def test_without_a_picture_half_of_the_meanings_are_right(
    bench: Bench, bat: Word, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = replace(bat, word="club")
    monkeypatch.setattr(meanings, "words", lambda: [bat, two])
    monkeypatch.setattr(meanings, "pictures", lambda *_: [Picture(Path("x"), "noto", "club", TRAIN, {"en": "a club"})])
    section = meanings.meanings(bench)
    every, unseen, seen = section.figures
    assert (every.count, unseen.count, seen.count) == (12, 6, 6)
    for figure in section.figures:
        assert figure.baselines[NONE].value == 50
        assert figure.baselines[meanings.OTHER].value == pytest.approx(100 - figure.measured.value)
    assert "murci\u00e9lago, not bate" in {row.expected for row in section.rows}


def test_captions_are_scored_beside_the_nearest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {e.concept: e.pictures[0].read_bytes() for e in bench.examples(RENDERINGS)}
    monkeypatch.setattr(Bench, "ask", by_picture({shown["ball"]: "ball-fr", shown["box"]: "xyz"}))
    monkeypatch.setattr(Bench, "bare", lambda _self, _stage, prompts, **_: ["" for _ in prompts])
    section = languages.captions(bench)
    assert [figure.what.rpartition(" ")[2] for figure in section.figures] == [
        *("Spanish", "French", "German", "Italian", "Portuguese")
    ]
    french = section.figures[1]
    assert french.baselines[NEAREST].value == 100
    assert 0 < section.figures[0].measured.value < french.measured.value < 100
    assert not any(figure.met for figure in section.figures)


def test_translation_gains_by_its_picture(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(_bench: Bench, one: Posed) -> str:
        thing = one.text.rpartition(" ")[2]
        right = one.picture in own[thing]
        return f"{thing}-{one.language}" if right else "" if one.picture is None else "zzz"

    own: dict[str, set[bytes]] = {}
    for example in bench.examples(CONCEPTS):
        own.setdefault(example.target, set()).add(example.pictures[0].read_bytes())
    monkeypatch.setattr(Bench, "ask", says(say))
    monkeypatch.setattr(Bench, "bare", lambda _self, _stage, prompts, **_: ["" for _ in prompts])
    scored, over_none, over_shuffled = languages.translation(bench).figures
    assert scored.count == 4 * 5
    assert scored.measured.value == 100
    assert scored.baselines[NONE].value == 0
    assert over_none.measured.value == pytest.approx(100)
    assert over_none.met
    assert over_shuffled.measured.value == pytest.approx(100)


# Chat and calibration


def test_chat_is_the_language_model_s_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (figure,) = chat(replace(bench, limit=3)).figures
    assert (figure.count, figure.measured.value, figure.met) == (3, 0, True)
    monkeypatch.setattr(Bench, "bare", lambda _self, _stage, prompts, **_: ["other" for _ in prompts])
    (figure,) = chat(replace(bench, limit=3)).figures
    assert (figure.measured.value, figure.met) == (3, False)


def answered(confidences: Sequence[float], right: Sequence[bool]) -> list[Row]:
    return [
        Row(shown="p", question="q", expected="e", said="s", right=hit, confidence=sure)
        for sure, hit in zip(confidences, right, strict=True)
    ]


def test_pages_are_compared_with_their_texts_and_with_another_page(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [Page(name, f"Of {name}.", b"") for name in ("bees", "bread", "tea", "trains")]

    def summarised(_engine: Engine, asked: Sequence[Page]) -> Iterator[PageRow]:
        for number, page in enumerate(asked):
            yield PageRow(page.name, number / 100, 1 - number / 10, page.name, page.name, page.text)

    monkeypatch.setattr("vlbm.evaluation.card.pages.page_rows", summarised)
    monkeypatch.setattr("vlbm.evaluation.card.pages.drawn", lambda: photos)
    section = registry.SECTIONS["pages"](replace(bench, limit=3))
    summaries, letters = section.figures
    assert (summaries.count, letters.count) == (3, 3)
    assert summaries.measured.value == pytest.approx(90)
    assert summaries.baselines["another page"].value == 0
    assert letters.measured.value == pytest.approx(1)
    assert [row.said for row in section.rows] == [page.name for page in bench.some(photos, 3)]


def test_the_calibration_error_is_the_distance_of_the_bins() -> None:
    rows = answered([0.95, 0.95, 0.15, 1.0], [True, False, False, True])
    high = next(found for found in bins(rows) if found.count == 3)
    assert high.right == pytest.approx(200 / 3)
    assert error(rows) == pytest.approx((3 * abs(200 / 3 - 290 / 3) + 15) / 4)
    assert error(answered([1.0, 0.0], [True, False])) == 0


def test_calibration_is_of_the_sections_before(bench: Bench) -> None:
    with pytest.raises(EvaluationError, match="measure them first"):
        calibration(bench)
    before = Section(how="", figures=[], rows=answered([0.9] * 10, [True] * 9 + [False]))
    (figure,) = calibration(replace(bench, earlier={"photos": before, "chat": before})).figures
    assert figure.count == 10
    assert figure.measured.value == pytest.approx(0, abs=1e-9)
    assert figure.met


# All of it


def fake(value: float) -> Section:
    figure = Figure(
        what="a | thing", target="> 1 %", unit="%", count=4, measured=Interval(value, 1, 90), baselines={}, met=True
    )
    return Section(how="By hand.", figures=[figure], rows=answered([0.2, 0.9], [False, True]))


def test_finished_sections_are_used_again_until_something_changes(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def section(_bench: Bench) -> Section:
        asked.append("photos")
        return fake(50)

    def fails(_bench: Bench) -> Section:
        raise DataError("run this first")

    monkeypatch.setitem(registry.SECTIONS, "photos", section)
    monkeypatch.setitem(registry.SECTIONS, "concepts", fails)
    card = measure(bench, ["photos", "concepts", "calibration"], tmp_path)
    assert list(card.sections) == ["photos", "calibration"]
    assert card.left_out == {"concepts": "run this first"}
    assert measure(bench, ["photos"], tmp_path).sections["photos"] == fake(50)
    assert len(asked) == 1
    measure(replace(bench, limit=1), ["photos"], tmp_path)
    assert len(asked) == 2
    (tmp_path / "sections" / "photos.json").write_text("{", encoding="utf-8")
    measure(bench, ["photos"], tmp_path)
    assert len(asked) == 3


def test_the_document_has_the_table_and_answers_as_they_are(tmp_path: Path) -> None:
    section = fake(50)
    write(Card("abc" * 9, {"photos": section, "calibration": section}, {"chat": "no"}), {"seed": 0}, tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| a \\| thing | > 1 % (met) | 50.0 [1.00, 90.0] %, n = 4 |" in text
    assert "Left out: chat: no" in text
    assert "## Verbatim: photos" in text
    assert "| p | q | e | s | no |" in text
    assert (tmp_path / "reliability.png").read_bytes()[:4] == b"\x89PNG"
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert Section.read(report["sections"]["photos"]) == section


def test_unknown_sections_are_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="there is no section 'photo': use photos, renderings"):
        registry.chosen(["photo"])
    assert registry.chosen(["chat", "photos"]) == ["photos", "chat"]


def test_the_command_measures_and_names_its_mistakes(
    made: tuple[Any, Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlbm.cli.card.load", lambda _name: made)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "data").symlink_to(data)
    words_of = ["eval", "packaged", "--limit", "2", "--out", str(tmp_path), "--cache", str(tmp_path / "cache")]
    done = CliRunner().invoke(main, [*words_of, "--only", "chat", "--only", "translation"])
    assert done.exit_code == 0, done.output
    assert "written to" in done.output
    assert "text-only chat" in (tmp_path / "report.md").read_text(encoding="utf-8")
    for extra, message in ((["--only", "x"], "no section 'x'"), (["--model", "a", "--model", "b"], "--model once")):
        failed = CliRunner().invoke(main, [*words_of, *extra])
        assert failed.exit_code == EXIT_ERROR
        assert message in failed.output
    failed = CliRunner().invoke(main, ["eval", "x.jsonl", "--only", "chat"])
    assert "use it with `vlbm eval packaged`" in failed.output
