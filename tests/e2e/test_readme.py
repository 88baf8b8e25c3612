"""What the README says is true: its program runs, its commands and settings exist."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from assistant.api.problems import CODES
from assistant.api.routes import ROUTES
from assistant.settings import Settings, variable
from tests import pictures
from tests.conftest import Start

pytestmark = pytest.mark.e2e
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_program_prints_an_answer(start: Start, tmp_path: Path) -> None:
    server = start("serve", "--engine", "scripted", "--scripted-delay-ms", "1")
    program = blocks("python")[0].replace("ws://127.0.0.1:8000", f"ws://127.0.0.1:{server.port}")
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg())
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.split()) > 5


def test_the_model_is_had_in_two_lines() -> None:
    ended = subprocess.run([sys.executable, "-c", blocks("python")[1]], capture_output=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_commands_exist(assistant_command: list[str]) -> None:
    named = set(re.findall(r"^\.venv/bin/assistant (\w+)", README, re.MULTILINE))
    assert {"chat", "caption", "translate", "summarise", "doctor"} <= named
    for name in named:
        subprocess.run([*assistant_command, name, "--help"], capture_output=True, check=True, timeout=60)


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_is_listed(name: str) -> None:
    row = next(line for line in README.splitlines() if variable(name) in line and line.startswith("|"))
    assert f"--{name.replace('_', '-')}" in row
    default = Settings.__dataclass_fields__[name].default
    if isinstance(default, str | int):
        assert str(default) in row


def test_the_page_of_the_http_api_has_every_route_and_every_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+ /[^`]*)` \| (\w*) ?\|", page, re.MULTILINE)
    assert rows == [(f"{route.method} {route.path}", route.scope or "") for route in ROUTES]
    for code, (status, advice) in CODES.items():
        assert f"| `{code}` | {status.value} | {advice} |" in page


def test_the_make_targets_exist() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`?make (\w+)", README)) - {"and"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
