"""The command: captions, says what it is, and turns errors into one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import vlbm
from tests.vlbm.conftest import drawn
from vlbm.cli import EXIT_ERROR, main


@pytest.fixture
def loaded(packaged: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """`vlbm.load` answers with the model that is already there."""
    monkeypatch.setattr(vlbm, "load", lambda *_a, **_k: packaged)


def test_help_is_light() -> None:
    code = "import sys; from vlbm.cli import main; assert 'torch' not in sys.modules; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "caption" in done.stdout


@pytest.mark.usefixtures("loaded")
def test_captions_files(tmp_path: Path) -> None:
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for path in paths:
        path.write_bytes(drawn())
    result = CliRunner().invoke(main, ["caption", *map(str, paths), "--max-tokens", "4"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [str(path) for path in paths]
    assert all(line.partition(": ")[2] for line in lines)


@pytest.mark.usefixtures("loaded")
def test_what_is_not_a_picture_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    result = CliRunner().invoke(main, ["caption", str(tmp_path / "text.png")])
    assert result.exit_code == EXIT_ERROR
    assert result.stderr.startswith("vlbm: not a picture")


@pytest.mark.usefixtures("loaded")
def test_says_what_it_is_made_of() -> None:
    result = CliRunner().invoke(main, ["info"])
    assert "encoder: efficientnet_lite0" in result.stdout
    assert "weighted_sum after layers 19, 22, 25, 27, 29" in result.stdout


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
