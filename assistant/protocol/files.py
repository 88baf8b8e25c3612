"""The files of the repository that are made from the models: ``make protocol`` writes them, a test compares them."""

import json
from collections.abc import Callable
from pathlib import Path

from assistant.protocol import page
from assistant.protocol.asyncapi import asyncapi
from assistant.protocol.schema import json_schema
from assistant.protocol.typescript import typescript

FORMATS: dict[str, Callable[[], str]] = {
    "json-schema": lambda: _json(json_schema()),
    "asyncapi": lambda: _json(asyncapi()),
    "typescript": typescript,
}
"""What ``assistant protocol`` prints."""

PAGE = "docs/protocol.md"
FILES = {
    "docs/protocol.schema.json": "json-schema",
    "docs/asyncapi.json": "asyncapi",
    "assistant/web/src/frames.ts": "typescript",
}


def made(root: Path) -> dict[Path, str]:
    """Each file under ``root`` with the text that it should have."""
    files = {root / name: FORMATS[kind]() for name, kind in FILES.items()}
    return files | {root / PAGE: page.filled((root / PAGE).read_text(encoding="utf-8"))}


def write(root: Path) -> list[Path]:
    """Write those that differ; returns them."""
    changed = []
    for path, text in made(root).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
