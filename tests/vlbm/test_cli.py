"""The command: captions, says what it is, and turns errors into one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import vlbm
from tests.vlbm.conftest import drawn
from tests.written import png, written
from vlbm.cli import EXIT_ERROR, main
from vlbm.cli.terminal import EXIT_LEFT_OUT


@pytest.fixture
def loaded(packaged: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """`vlbm.load` answers with the model that is already there."""
    monkeypatch.setattr(vlbm, "load", lambda *_a, **_k: packaged)


def test_help_is_light() -> None:
    code = "import sys; from vlbm.cli import main; assert 'torch' not in sys.modules; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "caption" in done.stdout


@pytest.mark.usefixtures("loaded")
def test_captions_a_folder_and_goes_on_where_it_was(tmp_path: Path) -> None:
    for name in ("one.png", "two.PNG", "deep/three.png"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn())
    (tmp_path / "pictures" / "notes.txt").write_text("no picture", encoding="utf-8")
    out = tmp_path / "captions.jsonl"
    words = ["caption", "packaged", str(tmp_path / "pictures"), "--max-tokens", "4", "--out", str(out)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {Path(row["image"]).name for row in rows} == {"one.png", "two.PNG", "three.png"}
    assert all(row["caption"] and 0 < row["image_weight"] < 1 for row in rows)
    assert len({row["caption"] for row in rows}) == 1  # it is the same picture
    out.write_bytes(out.read_bytes()[:-9])  # as if it had been stopped while it wrote
    assert CliRunner().invoke(main, words).exit_code == 0
    assert [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] == rows
    assert "every picture has a caption" in CliRunner().invoke(main, words).stderr


@pytest.mark.usefixtures("loaded")
def test_what_is_not_a_picture_is_named_and_the_rest_is_captioned(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    (tmp_path / "good.png").write_bytes(drawn())
    files = [str(tmp_path / name) for name in ("text.png", "good.png")]
    result = CliRunner().invoke(main, ["caption", "packaged", *files, "--max-tokens", "4"])
    assert result.exit_code == EXIT_LEFT_OUT
    assert "text.png: not a picture" in result.stderr
    assert [json.loads(line)["image"] for line in result.stdout.splitlines()] == files[1:]
    (tmp_path / "empty").mkdir()
    assert "no pictures" in CliRunner().invoke(main, ["caption", "packaged", str(tmp_path / "empty")]).stderr


@pytest.mark.usefixtures("loaded")
def test_says_what_it_is_made_of() -> None:
    lines = CliRunner().invoke(main, ["info"]).stdout.splitlines()
    rows = {line.split()[0]: line for line in lines}
    assert "efficientnet_lite2" in rows["encoder"]
    assert "[b,3,260,260] -> [b,81,1280]" in rows["encoder"]
    assert "weighted_sum after layers 19, 22, 25, 27, 29" in rows["fusions"]
    assert rows["language_model"].split()[-4:] == ["134,515,008", "0", "538.1", "MB"]
    assert rows["total"].split()[1:3] == ["152,228,274", "11,331,653"]
    assert "46,080 bytes a token" in lines[-1]


def test_prepares_data_from_a_cache(tmp_path: Path, stamp_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vlbm.data import stamps

    monkeypatch.setattr(stamps, "INSTALLED", stamp_folder)
    command = ["data", "prepare", "stamps", "--cache", str(tmp_path), "--language", "en", "--language", "de"]
    result = CliRunner().invoke(main, command)
    folder = tmp_path / "data" / "stamps"
    assert result.stdout.splitlines() == [
        f"stamps: 16 examples, 8 concepts, 8 pictures (GPL-2) in {folder}",
        "no leak between splits: stamps",
    ]
    made = (folder / "SOURCE.json").stat().st_mtime_ns
    assert CliRunner().invoke(main, command).stdout == result.stdout
    assert (folder / "SOURCE.json").stat().st_mtime_ns == made
    listed = CliRunner().invoke(main, ["data", "list", "--cache", str(tmp_path)]).stdout.splitlines()
    assert [line.partition(":")[0] for line in listed] == ["stamps", "emoji", "foods"]
    assert listed[0].endswith("; prepared in de, en")
    assert listed[1].endswith("; not prepared")


def test_unknown_sources_are_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["data", "prepare", "pets", "--cache", str(tmp_path)])
    assert result.exit_code == EXIT_ERROR
    assert result.stderr == "vlbm: unknown source 'pets': use one of stamps, emoji, foods\n"


def test_reads_pictures(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("sign.png", "blank.png", "text.png", "strip.png")}
    files["sign.png"].write_bytes(png(written(["Please mind", "the low step"])))
    files["blank.png"].write_bytes(png(written([])))
    files["text.png"].write_text("no picture", encoding="utf-8")
    files["strip.png"].write_bytes(png(written(["Way out"], size=(500, 60), font=24)))
    one = CliRunner().invoke(main, ["read", str(files["sign.png"])])
    assert (one.stdout, one.stderr, one.exit_code) == ("Please mind the low step\n", "", 0)
    rest = [str(files[name]) for name in ("blank.png", "text.png", "strip.png")]
    several = CliRunner().invoke(main, ["read", *rest])
    assert several.exit_code == EXIT_LEFT_OUT
    assert several.stdout == f"== {rest[0]}\n\n== {rest[2]}\nWay out\n"
    said = several.stderr.splitlines()
    assert said[0] == f"{rest[0]}: no words found"
    assert said[1].startswith(f"left out: {rest[1]}: not a picture")
    assert said[2].startswith(f"{rest[2]}: letterboxed")
    (line,) = CliRunner().invoke(main, ["read", "--json", str(files["sign.png"])]).stdout.splitlines()
    read = json.loads(line)
    assert (read["image"], read["width"], read["height"], read["notes"]) == (str(files["sign.png"]), 480, 240, [])
    assert [row["text"] for row in read["lines"]] == ["Please mind", "the low step"]
    assert all(row["confidence"] > 0.9 and len(row["box"]) == 4 for row in read["lines"])
