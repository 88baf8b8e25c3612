"""`vlbm eval`: from a file and models to a report, and every mistake in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from transformers import GPT2Config, LlamaConfig, PreTrainedConfig

import vlbm
from tests.vlbm.conftest import ROOT, opened
from vlbm.cli import EXIT_ERROR, main
from vlbm.data.records import Example, read_jsonl, write_jsonl
from vlbm.data.synthetic import cases
from vlbm.evaluation.answers import answer, prompts
from vlbm.evaluation.drift import FIXED, drift
from vlbm.evaluation.markdown import number
from vlbm.recurrent.config import RecurrentConfig
from vlbm.tokenizer import train_tokenizer
from vlbm.training.encoded import Encoded, encode
from vlbm.training.seen import SeenPictures

IDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
CONTEXT = 96
LANGUAGE: dict[str, Any] = {
    "gpt2": lambda: GPT2Config(vocab_size=300, n_layer=2, n_head=2, n_embd=32, n_positions=CONTEXT, **IDS),
    "llama": lambda: LlamaConfig(
        vocab_size=300,
        num_hidden_layers=2,
        num_attention_heads=2,
        hidden_size=32,
        intermediate_size=64,
        max_position_embeddings=CONTEXT,
        **IDS,
    ),
    "lstm": lambda: RecurrentConfig(
        cell="lstm", vocab_size=300, hidden_size=32, num_hidden_layers=2, max_position_embeddings=CONTEXT, **IDS
    ),
}


def made(kind: str = "gpt2", seed: int = 0, fusion: str = "sum_channel") -> tuple[Any, Any]:
    """A small untrained model whose fusion is open, so that pictures matter."""
    torch.manual_seed(seed)
    text: PreTrainedConfig = LANGUAGE[kind]()
    texts = [text for case in cases(96, seed=0, size=8) for text in (case.source, case.right)]
    model: Any
    model, processor = vlbm.build(
        text,
        tokenizer=train_tokenizer(["Translate into English: Describe the picture.", *texts] * 4, vocab_size=300),
        encoder="resnet18",
        encoder_weights="random",
        fusion=fusion,
        fusion_heads=2,
        fusion_head_width=8,
    )
    opened(model, alpha=2.0)
    with torch.no_grad():
        for parameter in model.language_model.parameters():
            parameter.mul_(2.0 if kind == "lstm" else 4.0)  # answers of small random weights are all alike
    return model, processor


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of four words in both meanings, each with a caption and a contrast, and two texts alone."""
    folder = tmp_path_factory.mktemp("data")
    examples = []
    for index, case in enumerate(cases(8, seed=1)):
        path = folder / f"{index}.png"
        case.picture.save(path)
        split = "train" if index >= 6 else "test"
        examples.append(Example((path,), f"A {case.sense.meaning} on a ground.", concept=case.sense.meaning))
        examples.append(
            Example((path,), case.right, "translate", case.source, "fr", case.sense.meaning, split, case.wrong)
        )
    examples += [Example((), "Paris.", "chat", text) for text in ("What is the capital?", "Which city?")]
    write_jsonl(folder / "data.jsonl", examples)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one model, and one of another fusion."""
    folder = tmp_path_factory.mktemp("runs")
    for name, seed, fusion in (("one", 0, "sum_channel"), ("two", 1, "sum_channel"), ("other", 0, "sum_scalar")):
        model, processor = made(seed=seed, fusion=fusion)
        model.save_pretrained(folder / name)
        processor.save_pretrained(folder / name)
    return folder


def run(data: Path, out: Path, *options: str | Path) -> tuple[int, str, str]:
    arguments = ["eval", str(data), "--out", str(out), "--cache", str(out.parent / "cache"), "--max-tokens", "6"]
    result = CliRunner().invoke(main, [*arguments, *map(str, options)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def report(data: Path, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """The report of one model: its folder, its values and what the terminal said."""
    out = tmp_path_factory.mktemp("report") / "out"
    code, said, warned = run(data / "data.jsonl", out, "--model", runs / "one", "--train", data / "data.jsonl")
    assert code == 0, warned
    return out, json.loads((out / "report.json").read_text(encoding="utf-8")), said


def rows_of(model: Any, processor: Any, data: Path) -> list[Encoded]:
    """Questions with no picture, one and two, of different lengths."""
    seen = SeenPictures(model, processor, data / "cache")
    examples = read_jsonl(data / "data.jsonl").examples
    two = Example((data / "0.png", data / "3.png"), "A b.", "summarise", "It rained, and then it did not rain.")
    return [
        encode(processor, example, [seen.see(path) for path in example.pictures], context=CONTEXT)
        for example in (*examples, two)
    ]


@pytest.mark.parametrize("kind", ["gpt2", "llama", "lstm"])
def test_answers_in_batches_are_those_of_each_alone(kind: str, data: Path) -> None:
    model, processor = made(kind, seed=5)  # an untrained LSTM says few things with most seeds
    rows = rows_of(model, processor, data)
    told: list[tuple[int, int]] = []

    def ask(batch: int) -> list[str]:
        return answer(
            model,
            processor.tokenizer,
            rows,
            max_tokens=8,
            batch=batch,
            tell=lambda done, total: told.append((done, total)),
        )

    together = ask(32)
    assert together == ask(1)
    # Pictures and questions matter, so equal answers say something.
    assert len(set(together)) > 4
    assert told[0] == (len(rows), len(rows))
    assert ask(5) == together


def test_equal_questions_are_asked_once(data: Path) -> None:
    model, processor = made()
    row = rows_of(model, processor, data)[-2]
    told: list[int] = []
    said = answer(
        model, processor.tokenizer, [row] * 3, max_tokens=4, batch=2, tell=lambda done, total: told.append(total)
    )
    assert len(set(said)) == 1
    assert told == [1]


def test_prompts_are_padded_first(data: Path) -> None:
    model, processor = made()
    rows = rows_of(model, processor, data)
    batch = prompts(rows)
    assert "labels" not in batch
    for index, row in enumerate(rows):
        length = len(row.prompt)
        assert tuple(batch["input_ids"][index, -length:].tolist()) == row.prompt
        assert batch["attention_mask"][index].tolist() == [0] * (batch["input_ids"].shape[1] - length) + [1] * length
        start = int(batch["fusion_from"][index])
        assert batch["input_ids"][index, start:].tolist() == list(row.prompt[row.fusion_from :])


def test_without_a_picture_nothing_drifts(data: Path) -> None:
    model, processor = made()
    examples = read_jsonl(data / "data.jsonl").examples

    def measured() -> Any:
        return drift(model, processor, examples, max_tokens=6, batch=4, tell=lambda _done, _total: None)

    found = measured()
    assert (found.largest, found.same) == (0.0, found.prompts)
    assert found.prompts >= len(FIXED) + 3
    whole = model.forward
    model.forward = lambda **kwargs: _moved(whole(**kwargs))  # as if something acted on text alone
    found = measured()
    assert found.largest == pytest.approx(299 * 10)
    assert found.same == 0


def _moved(out: Any) -> Any:
    out.logits = out.logits + 10.0 * torch.arange(out.logits.shape[-1])
    return out


def test_the_report_is_whole(report: tuple[Path, dict[str, Any], str], runs: Path) -> None:
    out, found, said = report
    assert {path.name for path in out.iterdir()} == {
        "report.json",
        "report.md",
        "congruence.png",
        "contrast.png",
        "gain.png",
    }
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in out.glob("*.png"))
    assert (found["format"], found["format_version"]) == ("vlbm-evaluation", 1)
    assert found["models"][0]["name"] == str(runs / "one")
    assert len(found["models"][0]["fingerprint"]) == len(found["data"]["sha256"]) == 64
    assert (found["data"]["questions"], found["data"]["pictures"]) == (18, 8)
    captions = found["tables"]["caption (en)"]
    assert list(captions["ways"]) == ["right", "swapped", "blank", "none"]
    assert set(captions["ways"]["right"]) == {"log-likelihood", "BLEU", "chrF", "ROUGE-L", "head nouns"}
    assert set(captions["ways"]["none"]) - set(captions["ways"]["right"]) == {"gain"}
    assert list(found["tables"]["translate (fr)"]["ways"])[-1] == "nearest"
    assert list(found["tables"]["chat (en), without pictures"]["ways"]) == ["none"]
    assert found["drift"][0]["largest"] == 0.0
    assert found["signatures"]["chrF"].startswith("nrefs:1|case:mixed|")
    assert "translate (fr): 8 questions" in said
    assert "text alone: largest logit difference 0.0, 100% same answers" in said


def test_every_value_lies_in_its_interval(report: tuple[Path, dict[str, Any], str]) -> None:
    values = [
        row
        for table in report[1]["tables"].values()
        for measures in table["ways"].values()
        for row in measures.values()
    ]
    assert len(values) > 40
    assert all(row["low"] <= row["value"] <= row["high"] for row in values if row["method"] != "corpus bootstrap")
    assert all(row["models"] == [row["value"]] for row in values)


def test_the_gain_is_the_difference_of_likelihoods(report: tuple[Path, dict[str, Any], str]) -> None:
    for name, gains in report[1]["gains"].items():
        ways = report[1]["tables"][name]["ways"]
        for way in ("swapped", "blank", "none"):
            wanted = ways["right"]["log-likelihood"]["value"] - ways[way]["log-likelihood"]["value"]
            assert ways[way]["gain"]["value"] == pytest.approx(wanted)
            assert wanted != 0
        assert sum(gains) / len(gains) == pytest.approx(ways["none"]["gain"]["value"])


def test_contrasts_are_swapped_for_their_other_meaning(report: tuple[Path, dict[str, Any], str]) -> None:
    """Each meaning has one picture here, so that what swapped is right on, right is wrong on."""
    ways = report[1]["tables"]["contrast (fr)"]["ways"]
    assert ways["right"]["accuracy"]["value"] + ways["swapped"]["accuracy"]["value"] == 100
    assert ways["none"]["accuracy"]["value"] == ways["blank"]["accuracy"]["value"] == 50


def test_the_report_warns(report: tuple[Path, dict[str, Any], str]) -> None:
    text = (report[0] / "report.md").read_text(encoding="utf-8")
    for warning in (
        "CIDEr-D left out: only 8 pictures, 50 are needed",
        "translate (fr): BLEU left out: no reference has 4 tokens",
        "caption (en): nearest neighbour left out: no training example of this task and language has a picture",
        "2 of 8 pictures are training pictures as well: a leak",
        "one model: intervals are over questions",
        "only 8 questions",
    ):
        assert warning in text
    assert "![congruence.png](congruence.png)" in text


def test_the_same_evaluation_gives_the_same_report(
    report: tuple[Path, dict[str, Any], str], data: Path, runs: Path
) -> None:
    before = (report[0] / "report.json").read_bytes()
    run(data / "data.jsonl", report[0], "--model", runs / "one", "--train", data / "data.jsonl", "--batch", "16")
    assert (report[0] / "report.json").read_bytes() == before


def test_several_models_are_seeds(data: Path, runs: Path, tmp_path: Path) -> None:
    code, _, warned = run(
        data / "data.jsonl", tmp_path / "out", "--model", runs / "one", "--model", runs / "two", "--split", "test"
    )
    assert code == 0, warned
    found = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    row = found["tables"]["translate (fr)"]["ways"]["right"]["log-likelihood"]
    first, second = row["models"]
    assert row["value"] == pytest.approx((first + second) / 2)
    half = 12.706204736432095 * abs(first - second) / 2  # Student's t with one degree of freedom
    assert row["high"] - row["value"] == pytest.approx(half)
    assert row["method"] == "student over seeds"
    assert found["data"]["split"] == "test"
    assert found["data"]["questions"] == 6
    assert len(found["drift"]) == 2
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "2 models, taken as seeds of one training" in text
    assert "one model: intervals" not in text
    assert "nearest neighbour left out: give the training examples with --train FILE" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["gone.jsonl", "--model", "one"], "gone.jsonl cannot be read: No such file"),
        (["data.jsonl", "--model", "one", "--split", "tset"], "no example of split 'tset': it has test, train"),
        (["data.jsonl", "--model", "one", "--limit", "1"], "needs at least 2 questions, and there is 1"),
        (["data.jsonl", "--model", "one", "--train", "gone.jsonl"], "gone.jsonl cannot be read"),
        (["data.jsonl", "--model", "one", "--train", "texts.jsonl"], "no training example with a picture: leave out"),
        (["data.jsonl", "--model", "one", "--model", "one"], "are the same model: give each seed once"),
        (["data.jsonl", "--model", "one", "--model", "other"], "fusion is 'sum_channel' and 'sum_scalar'"),
        (["data.jsonl", "--model", "/none"], "neither 'packaged' nor a folder with a model"),
        (["broken.jsonl", "--model", "one"], "can be asked: example 1 (broken.png): not a picture"),
        (["data.jsonl", "--model", "one", "--max-tokens", "90"], "the answer asks for 90, but the model holds 96"),
    ],
)
def test_a_mistake_is_one_line(data: Path, runs: Path, tmp_path: Path, options: list[str], message: str) -> None:
    (data / "broken.png").write_bytes(b"no picture")
    (data / "broken.jsonl").write_text('{"image": "broken.png", "target": "a"}\n', encoding="utf-8")
    (data / "texts.jsonl").write_text('{"task": "chat", "text": "a", "target": "b"}\n', encoding="utf-8")
    places = {**{name: runs / name for name in ("one", "other")}, "data.jsonl": data / "data.jsonl"}
    places |= {name: data / name for name in ("gone.jsonl", "broken.jsonl", "texts.jsonl")}
    code, _, warned = run(places[options[0]], tmp_path / "out", *[places.get(option, option) for option in options[1:]])
    assert code == EXIT_ERROR
    assert message in warned.splitlines()[-1]
    assert warned.splitlines()[-1].startswith("vlbm: ")
    assert not (tmp_path / "out").exists()


def test_numbers_are_short() -> None:
    assert [number(value) for value in (12.345, -1.234, 0.01234, -0.0001, 100)] == [
        "12.3",
        "-1.23",
        "0.012",
        "0.000",
        "100.0",
    ]


def test_the_documents_data_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program in docs/evaluation.md that writes the synthetic data, with fewer pictures."""
    text = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    program = text.partition("```python\n")[2].partition("```")[0]
    for count in ("480", "96", "192"):
        assert f", {count}, " in program
        program = program.replace(f", {count}, ", ", 2, ")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "docs/evaluation.md", "exec"), {})  # noqa: S102 (the document's own program)
    read = read_jsonl(tmp_path / "synthetic" / "test.jsonl")
    assert [example.task for example in read.examples] == ["caption", "translate"] * 2
    assert read.examples[1].wrong == "The club."
