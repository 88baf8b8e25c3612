"""`vlbm train FILE`: from pictures and a file to a saved model, and every mistake in words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import vlbm
from vlbm.cli import EXIT_ERROR, main
from vlbm.data.records import Example, write_jsonl
from vlbm.data.synthetic import cases
from vlbm.errors import ConfigError
from vlbm.training.curves import EVENTS, PNG
from vlbm.training.fit import CHECKPOINT
from vlbm.training.seen import SeenPictures
from vlbm.training.settings import Settings, read_settings

FILE = """
out = "run"
[model]
language_model = "new"
encoder = "resnet18"
encoder_weights = "random"
fusion = "sum_channel"
fusion_heads = 2
fusion_head_width = 8
[new]
kind = "gru"
layers = 2
width = 32
heads = 2
vocabulary = 300
context = 160
[data]
train = "train.jsonl"
held_out = "held_out.jsonl"
concepts_apart = false
[training]
steps = 4
batch = 4
warmup = 1
evaluate_every = 2
trained = "all"
"""


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    for name, seed in (("train", 1), ("held_out", 2)):
        examples = []
        for number, case in enumerate(cases(8, seed=seed)):
            path = made / f"{name}-{number}.png"
            case.picture.save(path)
            examples.append(Example((path,), case.right, "translate", case.source, concept=case.sense.meaning))
        write_jsonl(made / f"{name}.jsonl", examples)
    (made / "mine.toml").write_text(FILE, encoding="utf-8")
    return made


@pytest.fixture
def folder(data: Path, tmp_path: Path) -> Path:
    return shutil.copytree(data, tmp_path, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A folder with a run, made with some lines that cannot be used, and what was said of it."""
    folder = shutil.copytree(data, tmp_path_factory.mktemp("trained"), dirs_exist_ok=True)
    (folder / "bad.png").write_bytes(b"no picture")
    with (folder / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"image": "bad.png", "target": "a"}\n{"image": "gone.png", "target": "a"}\n')
        file.write('{"target": "' + "word " * 200 + '"}\n')
    code, said, warned = train(folder)
    assert code == 0, warned
    return folder, said, warned


def train(folder: Path, name: str = "mine.toml") -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["train", str(folder / name), "--cache", str(folder / "cache")])
    return result.exit_code, result.stdout, result.stderr


def test_a_file_becomes_a_model(trained: tuple[Path, str, str]) -> None:
    folder, said, warned = trained
    assert "8 examples" in said
    assert "not a picture that can be read" in warned
    assert "line 10: picture 'gone.png' is not there" in warned
    assert "the model holds 160" in warned
    out = folder / "run"
    assert {PNG, CHECKPOINT, "model.safetensors", "config.json", "log.jsonl"} <= {path.name for path in out.iterdir()}
    assert (out / PNG).read_bytes().startswith(b"\x89PNG")
    assert list((out / EVENTS).iterdir())
    model, processor = vlbm.load(out)
    assert model.config.fusion == "sum_channel"
    assert processor.tokenizer("<|im_end|>")["input_ids"] == [1]
    assert train(folder)[0] == 0  # nothing left to do


def test_only_the_packaged_adapter_is_trained_further(folder: Path) -> None:
    result = CliRunner().invoke(main, ["train", str(folder / "mine.toml"), "--start", str(folder)])
    assert result.exit_code == 2
    assert "--start is for 'packaged'" in result.output


def test_two_processes_train_one_model(trained: tuple[Path, str, str], tmp_path: Path) -> None:
    made = shutil.ignore_patterns("run", "cache")
    folder = shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True, ignore=made)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "vlbm.cli", "train"]
    done = subprocess.run(
        [*launch, str(folder / "mine.toml"), "--cache", str(folder / "cache")],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 4: loss") == 1
    assert "parameters trained on 8 examples" in done.stdout
    log = (folder / "run" / "log.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["step"] for line in log.splitlines()] == [2, 4]
    together, _ = vlbm.load(folder / "run")
    alone, _ = vlbm.load(trained[0] / "run")
    ones = [model.fusions.state_dict()["0.alpha"] for model in (together, alone)]
    assert not torch.equal(*ones)  # half the examples were others


def test_the_encoder_looks_once_at_each_picture(trained: tuple[Path, str, str]) -> None:
    folder, *_ = trained
    model, processor = vlbm.load(folder / "run")
    seen = SeenPictures(model, processor, folder / "cache" / "seen")
    kept = seen.see(folder / "train-0.png")
    assert seen.looked == 0
    next(seen.folder.iterdir()).write_bytes(b"torn")
    other = SeenPictures(model, processor, folder / "other")
    fresh = other.see(folder / "train-0.png")
    assert other.looked == 1
    assert torch.equal(fresh.grid, kept.grid)
    for path in sorted(folder.glob("train-*.png")):
        seen.see(path)
    assert seen.looked <= 1


def test_the_encoder_learns_where_the_file_says_so(folder: Path) -> None:
    saved = {}
    for stages in (0, 1):
        text = FILE.replace("steps = 4", f"steps = 1\nencoder_stages = {stages}").replace('"run"', f'"run{stages}"')
        (folder / "mine.toml").write_text(text, encoding="utf-8")
        assert train(folder)[0] == 0
        saved[stages] = load_file(folder / f"run{stages}" / "model.safetensors")
    changed = {key for key, value in saved[0].items() if key.startswith("encoder.") and (value != saved[1][key]).any()}
    assert changed
    assert all(key.startswith("encoder.net.layer4.") for key in changed)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('out = "run"', "", "'out' must be given"),
        ('out = "run"', 'out = "run"\nspeed = 3', "unknown field 'speed': use out, model, data"),
        ('out = "run"', "out = 3", "'out' must be path, got int 3"),
        ("[model]", "[model", "is no TOML"),
        ('encoder = "resnet18"', 'encoder = "resnet"', r"\[model\] unknown encoder 'resnet': use one of .*resnet18"),
        ('fusion = "sum_channel"', 'fusion = "sum"', r"\[model\] unknown fusion 'sum': use one of .*sum_channel"),
        ("fusion_heads = 2", "fusion_layers = [7]", r"fusion_layers \[7\] do not exist: .* layers 0 to 1"),
        ("fusion_heads = 2", 'fusion_layers = ["a"]', r"\[model\] 'fusion_layers' must be a list of whole numbers"),
        ('kind = "gru"', 'kind = "rnn"', r"\[new\] unknown kind 'rnn': use one of gpt2, gru, llama, lstm"),
        ("width = 32", "width = 33", r"\[new\] width 33 must be a multiple of heads 2"),
        ("layers = 2", "layers = 0", r"\[new\] layers must be at least 1"),
        ("steps = 4", "steps = true", r"\[training\] 'steps' must be int, got bool True"),
        ("steps = 4", "encoder_stages = 6", "encoder_stages must be 0 to 5, the stages of this encoder, got 6"),
        ("steps = 4", "encoder_stages = -1", r"\[training\] encoder_stages must not be below 0"),
        ("steps = 4", "steps = 0", r"\[training\] steps must be at least 1"),
        ("steps = 4", "rate = -1", r"\[training\] rate must be above 0"),
        ("concepts_apart = false", "", "share 8 concepts"),
        ('train = "train.jsonl"', 'train = "held_out.jsonl"', "share 8 pictures"),
        ('train = "train.jsonl"', 'train = "gone.jsonl"', r"gone\.jsonl cannot be read"),
        ('"random"', '"weights.pth"', r"weights\.pth is not there"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(folder: Path, old: str, new: str, message: str) -> None:
    import re

    (folder / "wrong.toml").write_text(FILE.replace(old, new, 1), encoding="utf-8")
    code, _, warned = train(folder, "wrong.toml")
    assert code == EXIT_ERROR
    assert re.search(message, warned.splitlines()[-1]), warned


def test_a_table_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('out = "x"\nmodel = 3\n[data]\ntrain = "a"\nheld_out = "b"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="'model' must be a table"):
        read_settings(tmp_path / "x.toml")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_settings(tmp_path / "none.toml")


@pytest.mark.parametrize("kind", ["gpt2", "llama", "lstm"])
def test_every_new_kind_is_made(folder: Path, kind: str) -> None:
    from vlbm.training.run import make_model

    (folder / "kind.toml").write_text(FILE.replace('"gru"', f'"{kind}"'), encoding="utf-8")
    settings: Settings = read_settings(folder / "kind.toml")
    model, _ = make_model(settings, [Example((), "A cat.")])
    assert model.config.text_config.num_hidden_layers == 2
