"""What is made from the models: it is up to date, it is what it says it is, and it follows the models."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from assistant.domain import errors
from assistant.gateway import wire
from assistant.protocol import files, frames, page, typescript
from assistant.protocol.asyncapi import asyncapi
from assistant.protocol.codes import CLOSES, ERRORS
from assistant.protocol.schema import json_schema

ROOT = Path(__file__).resolve().parents[3]

BEFORE_SERVING = {"cannot_listen", "data_in_use", "model_unreadable"} | {
    f"redis_{why}" for why in ("failed", "missing", "too_old", "unreachable")
}
"""Codes of errors that keep a server from starting; no client is there yet."""
OF_SERVERS = ("budget.py", "domain", "engines", "gateway", "images", "service", "stores", "tools")
"""Where errors are made that a socket may carry; the rest of the package is the terminal's."""
OF_THE_LIBRARY = {1000, 1002, 1007, 1009}


@pytest.mark.parametrize(("path", "text"), files.made(ROOT).items(), ids=lambda value: getattr(value, "name", ""))
def test_generated_files_are_up_to_date(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run `make protocol`"


def test_writing_again_changes_nothing_and_repairs_what_was_changed(tmp_path: Path) -> None:
    for name in (*files.FILES, files.PAGE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    assert files.write(tmp_path) == []
    broken = tmp_path / files.PAGE
    broken.write_text(broken.read_text(encoding="utf-8").replace("| `ping` |", "| `pang` |"), encoding="utf-8")
    assert files.write(tmp_path) == [broken]
    assert "| `ping` |" in broken.read_text(encoding="utf-8")


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="places"):
        page.filled("no tables here")


def test_the_json_schema_is_one() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_every_command_and_every_ack_has_its_partner(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {answer for found in frames.commands().values() for answer in found}
    assert answers == {*frames.acks(), wire.Pong}
    fewer = {command: found for command, found in frames.ANSWERS.items() if command is not wire.TurnSubmit}
    monkeypatch.setattr(frames, "ANSWERS", fewer)
    with pytest.raises(LookupError, match="TurnSubmit"):
        frames.commands()


def test_the_asyncapi_document_refers_to_what_is_there() -> None:
    document = asyncapi()

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        if isinstance(value, list):
            for part in value:
                yield from references(part)

    found = list(references(document))
    assert found
    for reference in found:
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
    assert {name for name, operation in document["operations"].items() if "reply" in operation} == {
        frames.frame_type(command) for command in frames.commands()
    }


def test_typescript_refuses_what_it_cannot_say() -> None:
    with pytest.raises(NotImplementedError, match="tuple"):
        typescript._type({"type": "tuple"})


def test_every_error_code_has_its_advice() -> None:
    assert set(ERRORS) == set(_codes()) - BEFORE_SERVING
    assert list(ERRORS) == sorted(ERRORS)
    assert all(advice.endswith(".") for advice in ERRORS.values())


def test_every_close_code_has_its_advice() -> None:
    sent = {value for name, value in vars(wire).items() if name.startswith("CLOSE_")}
    assert set(CLOSES) == sent | OF_THE_LIBRARY


def _codes() -> Iterator[str]:
    """The codes in calls that make an error. A code that is no literal fails: it could not be listed."""
    kinds = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            made_by = ast.unparse(node.func)
            passed_on = list(map(ast.unparse, node.args)) == ["error.code", "error.message"]
            if made_by in {*kinds, "MalformedFrame", "outcome.fail"} and not passed_on:
                code = node.args[0]
                assert isinstance(code, ast.Constant), f"{path}:{node.lineno}: write the code out"
                yield str(code.value)


def _sources() -> Iterator[Path]:
    for name in OF_SERVERS:
        place = ROOT / "assistant" / name
        yield from [place] if place.is_file() else sorted(place.rglob("*.py"))
