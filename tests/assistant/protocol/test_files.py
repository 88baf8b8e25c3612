"""What is made from the models: it is up to date, it is what it says it is, and it follows the models."""

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from assistant.domain.errors import AssistantError
from assistant.gateway.wire import frame
from assistant.gateway.wire.answers import Pong
from assistant.gateway.wire.commands import TurnSubmit
from assistant.protocol import files, frames, page, typescript
from assistant.protocol.asyncapi import asyncapi
from assistant.protocol.codes import CLOSES, ERRORS
from assistant.protocol.schema import json_schema

ROOT = Path(__file__).resolve().parents[3]

NOT_SENT = {
    *("cannot_listen", "data_in_use", "model_unreadable"),
    *("redis_cluster", "redis_failed", "redis_missing", "redis_too_old", "redis_unreachable"),
    *("key_name_ambiguous", "key_name_invalid", "key_not_found", "owner_invalid"),
}
"""Codes of errors that keep a server from starting, or that `assistant keys` ends with: no socket carries them."""
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
    assert answers == {*frames.acks(), Pong}
    fewer = {command: found for command, found in frames.ANSWERS.items() if command is not TurnSubmit}
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
    sent = set(_codes()) - NOT_SENT
    assert [code for code in sent if not fnmatch.filter(ERRORS, code)] == [], "say in codes.py what a client should do"
    assert [code for code in ERRORS if not any(fnmatch.fnmatchcase(code, one) for one in sent)] == [], "nobody sends it"
    assert list(ERRORS) == sorted(ERRORS)
    assert all(advice.endswith(".") for advice in ERRORS.values())


def test_every_close_code_has_its_advice() -> None:
    sent = {value for name, value in vars(frame).items() if name.startswith("CLOSE_")}
    assert set(CLOSES) == sent | OF_THE_LIBRARY


def _codes(root: Path = ROOT) -> Iterator[str]:
    """The codes of the errors that servers make, with ``*`` where an f-string is filled in. Other codes fail."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _sources(root)}
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    kinds = _kinds(classes)
    own = {node.name: code for node in classes if node.name in kinds for code in _own_codes(node)}
    yield from own.values()
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {*kinds, "outcome.fail"} - own.keys():
                if [ast.unparse(argument) for argument in node.args[:2]] == ["error.code", "error.message"]:
                    continue  # an error that was made elsewhere
                code = _written(node.args[0])
                assert code, f"{path}:{node.lineno}: write the code out"
                yield code


def _written(code: ast.expr) -> str:
    match code:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_written(part) or "*" for part in parts)
    return ""


def _kinds(classes: list[ast.ClassDef]) -> set[str]:
    """Names of ``AssistantError`` and of all that derive from it."""
    kinds: set[str] = set()
    found = {AssistantError.__name__}
    while found - kinds:
        kinds |= found
        found = {node.name for node in classes if kinds & set(map(ast.unparse, node.bases))}
    return kinds


def _own_codes(kind: ast.ClassDef) -> Iterator[str]:
    """The code that a class gives to all its errors."""
    for node in ast.walk(kind):
        match node:
            case ast.Call(args=[ast.Constant(value=code), *_]) if ast.unparse(node.func) == "super().__init__":
                yield str(code)


def _sources(root: Path) -> Iterator[Path]:
    for name in OF_SERVERS:
        place = root / "assistant" / name
        yield from [place] if place.is_file() else sorted(place.rglob("*.py"))
