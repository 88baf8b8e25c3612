"""What the documents say of the `vlbm` command and its files is true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from vlbm.cli import main
from vlbm.training.plan import Plan
from vlbm.training.settings import read_settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EVERY = [*DOCUMENTS, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]


def commands() -> list[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    return sorted(set(re.findall(r"^(?: {4}|\.venv/bin/)vlbm ([a-z][^#\n:]+?)(?: +#.*)?$", text, re.MULTILINE)))


def test_there_are_commands_to_check() -> None:
    assert {command.split()[0] for command in commands()} >= {"train", "eval", "caption", "prove", "data", "info"}


@pytest.mark.parametrize("command", commands())
def test_a_command_is_one_that_exists(command: str) -> None:
    """Parsed as the command line would be; nothing is run, files that are named need not be there."""
    words = shlex.split(command)
    found: click.Command = main
    while isinstance(found, click.Group):
        found = found.commands[words.pop(0)]
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_the_file_of_a_training_reads(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)
    (tmp_path / "mine.toml").write_text(example, encoding="utf-8")
    settings = read_settings(tmp_path / "mine.toml")
    assert settings.out == tmp_path / "runs" / "mine"
    assert settings.model.fusion_layers == [2, 3]
    assert settings.training == Plan(steps=2000, batch=16, trained="all")


@pytest.mark.parametrize("document", EVERY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_document_is_whole_and_its_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert not re.search(r"^(<{7}|>{7}|={7}$)", text, re.MULTILINE), "a merge was not finished"
    inside = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in inside if not (document.parent / link).exists()] == []
