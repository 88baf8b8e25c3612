"""A visual memory: taught in a moment, kept in a file, lent to a model, and refused in words where it does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file

import vlbm
from tests.vlbm.conftest import drawn
from vlbm.cli import EXIT_ERROR, main
from vlbm.data.records import Example
from vlbm.errors import MemoryUnusable
from vlbm.evidence.runs import CAPTION
from vlbm.memory.index import EMPTY, Entry, Index, matches, read_index, write_index
from vlbm.memory.teach import attach, look_at
from vlbm.pictures import open_picture
from vlbm.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["our dog Bello", "a red ball", "a blue ball"], vocab_size=300)
ONE = Index("e", (Entry("A red ball.", "en", "ab" * 32, "balls/red.png"),), torch.ones(1, 4))


@pytest.fixture
def made() -> tuple[Any, Any]:
    torch.manual_seed(0)
    sizes = vlbm.Sizes(vocabulary=300, layers=2, width=32, heads=2, context=64)
    text = vlbm.language_config("gpt2", sizes)
    return vlbm.build(text, tokenizer=TOKENIZER, encoder="resnet18", encoder_weights="random", fusion_heads=2)


@pytest.fixture
def taught(made: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """`vlbm.load` answers with a small model."""
    monkeypatch.setattr(vlbm, "load", lambda *_a, **_k: made)
    return made


def run(*words: object, memory: Path) -> Result:
    return CliRunner().invoke(main, ["memory", *map(str, words), "--memory", str(memory)])


def captions(model: Any, processor: Any, data: bytes) -> list[str]:
    """What the memory says of a picture, the likest first."""
    pixels = processor.image_processor(open_picture(data))["pixel_values"]
    found = model.evidence.find(torch.zeros(1, 1000), model.encode(pixels).style)
    runs = found.tokens[0][found.kind[0] == CAPTION]
    return [processor.tokenizer.decode([int(t) for t in tokens if t >= 0]).strip() for tokens in runs]


def test_what_is_taught_is_found_again_by_likeness(made: tuple[Any, Any], tmp_path: Path) -> None:
    model, processor = made
    files = {"A red ball.": "red", "our dog Bello": "blue"}
    examples = []
    for caption, colour in files.items():
        (tmp_path / f"{colour}.png").write_bytes(drawn(colour))
        examples.append(Example((tmp_path / f"{colour}.png",), caption))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    told = list[int]()
    index, problems = look_at(model, processor, [*examples, Example((broken,), "x")], lambda d, _t: told.append(d))
    assert told == [1, 2, 3]
    assert len(problems) == 1
    assert "broken.png" in problems[0]
    write_index(tmp_path / "memory", index)
    attach(model, processor, read_index(tmp_path / "memory"))
    assert model.config.memory_pictures == 2
    assert captions(model, processor, drawn("blue"))[0] == "our dog Bello"
    assert captions(model, processor, drawn("red"))[0] == "a red ball"
    bare = torch.tensor([[5, 6, 7]])
    assert torch.equal(model(input_ids=bare).logits, model.language_model(input_ids=bare).logits)
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    again, others = vlbm.load(tmp_path / "saved")
    assert captions(again, others, drawn("blue"))[0] == "our dog Bello"


def test_a_file_keeps_what_it_was_given(tmp_path: Path) -> None:
    assert read_index(tmp_path / "none") == EMPTY
    place = tmp_path / "deep" / "memory"
    write_index(place, ONE)
    read = read_index(place)
    assert (read.encoder, read.entries) == (ONE.encoder, ONE.entries)
    assert torch.equal(read.features, ONE.features)
    assert place.stat().st_mode & 0o077 == 0
    assert [path.name for path in place.parent.iterdir()] == ["memory"]


def test_the_same_picture_is_remembered_once_a_language() -> None:
    again = ONE.plus("e", [Entry("A ball.", "en", "ab" * 32, "x.png")], torch.zeros(1, 4))
    assert [entry.caption for entry in again.entries] == ["A ball."]
    more = again.plus("e", [Entry("Ein Ball.", "de", "ab" * 32, "x.png")], torch.zeros(1, 4))
    assert len(more.entries) == len(more.features) == 2
    with pytest.raises(MemoryUnusable, match=r"another encoder \(e, this model has f\)"):
        ONE.plus("f", [], torch.zeros(0, 4))


@pytest.mark.parametrize("word", ["a red ball.", "balls/red.png", "RED.png", "abababab"])
def test_an_entry_is_meant_by_any_of_its_names(word: str) -> None:
    assert matches([word])(ONE.entries[0])
    assert not matches(["abab", "ball", "blue"])(ONE.entries[0])


def test_what_is_no_memory_is_refused_in_words(tmp_path: Path, made: tuple[Any, Any]) -> None:
    place = tmp_path / "memory"
    about = {"format": "vlbm-memory", "format_version": "1", "encoder": "e", "entries": json.dumps([])}
    row = {"caption": "a", "language": "en", "sha256": "b", "name": "c"}
    for metadata, features, message in (
        ({"format": "pt"}, torch.ones(0, 4), "is no visual memory"),
        ({**about, "format_version": "2"}, torch.ones(0, 4), "has format 2, this is 1: update vlbm"),
        (about, torch.ones(1, 4), r"is damaged \(0 entries, features \(1, 4\)\)"),
        ({**about, "entries": json.dumps([{"caption": "a"}])}, torch.ones(1, 4), "is damaged"),
        ({**about, "entries": json.dumps([row])}, torch.full((1, 4), float("nan")), "is damaged"),
    ):
        save_file({"features": features}, place, metadata=metadata)
        with pytest.raises(MemoryUnusable, match=message):
            read_index(place)
    place.write_bytes(b"\xff" * 40)
    with pytest.raises(MemoryUnusable, match=r"is damaged .* remove it and add the pictures again"):
        read_index(place)
    with pytest.raises(MemoryUnusable, match="another encoder"):
        attach(*made, ONE)


@pytest.mark.usefixtures("taught")
def test_a_folder_is_taught_listed_and_forgotten(tmp_path: Path) -> None:
    memory, folder = tmp_path / "memory", tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "our_dog-2.png").write_bytes(drawn("blue"))
    (folder / "x.png").write_bytes(drawn("red"))
    (folder / "x.txt").write_text("A red ball.\nmore\n", encoding="utf-8")
    (folder / "broken.png").write_bytes(b"no picture")
    result = run("add", folder, memory=memory)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"added: 2; remembered: 2 in {memory}\n"
    assert "left out: " in result.stderr
    assert "broken.png" in result.stderr
    listed = run("list", memory=memory).stdout.splitlines()
    assert ["en  A red ball." in line for line in listed] == [False, True]
    assert "en  our dog" in listed[0]
    assert run("add", folder, memory=memory).stdout == f"added: 2; remembered: 2 in {memory}\n"  # no doubles
    assert run("remove", "our dog", memory=memory).stdout == f"removed: 1; remembered: 1 in {memory}\n"
    wrong = run("remove", "our cat", memory=memory)
    assert wrong.exit_code == EXIT_ERROR
    assert "is called our cat: `vlbm memory list`" in wrong.stderr


@pytest.mark.usefixtures("taught")
def test_one_picture_and_a_file_of_lines_are_taught(tmp_path: Path) -> None:
    picture, memory = tmp_path / "bello.png", tmp_path / "memory"
    picture.write_bytes(drawn("blue"))
    assert "say what" in run("add", picture, memory=memory).stderr
    assert run("add", picture, "--caption", "our dog Bello", "--language", "de", memory=memory).exit_code == 0
    assert read_index(memory).entries[0].language == "de"
    lines = tmp_path / "more.jsonl"
    lines.write_text('{"image": "bello.png", "target": "A dog."}\n{"image": "gone.png", "target": "x"}\n', "utf-8")
    result = run("add", lines, memory=memory)
    assert result.stdout == f"added: 1; remembered: 2 in {memory}\n"
    assert "line 2: picture 'gone.png' is not there" in result.stderr
    lines.write_text('{"target": "Paris.", "task": "chat"}\n', encoding="utf-8")
    assert "has no captions of pictures" in run("add", lines, memory=memory).stderr
    (tmp_path / "empty").mkdir()
    assert "has no pictures" in run("add", tmp_path / "empty", memory=memory).stderr


def test_captions_use_it_and_go_on_without_a_broken_one(
    taught: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, memory = tmp_path / "bello.png", tmp_path / "memory"
    Image.new("RGB", (40, 40), "blue").save(picture)
    words = ["caption", "packaged", str(picture), "--max-tokens", "2"]
    run("add", picture, "--caption", "our dog Bello", memory=memory)
    monkeypatch.setenv("VLBM_MEMORY", str(memory))
    assert CliRunner().invoke(main, [*words, "--memory", "none"]).exit_code == 0
    assert taught[0].config.memory_pictures == 0
    assert CliRunner().invoke(main, words).exit_code == 0
    assert taught[0].config.memory_pictures == 1
    memory.write_bytes(b"torn")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0
    assert "answering without the memory: " in result.stderr
    missing = CliRunner().invoke(main, [*words, "--memory", str(tmp_path / "gone")])
    assert missing.exit_code == EXIT_ERROR
    assert "is not there: make it with `vlbm memory add`" in missing.stderr
