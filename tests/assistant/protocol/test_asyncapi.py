"""The AsyncAPI document is one, by the official schema of AsyncAPI 3.0 (npm package ``@asyncapi/specs``)."""

import json
from pathlib import Path

from jsonschema import Draft7Validator

from assistant.protocol.asyncapi import asyncapi

SPECS = Path(__file__).resolve().parents[3] / "assistant" / "web" / "node_modules" / "@asyncapi" / "specs" / "schemas"


def official() -> Draft7Validator:
    return Draft7Validator(json.loads((SPECS / "3.0.0-without-$id.json").read_text(encoding="utf-8")))


def test_the_document_fits_the_official_schema() -> None:
    problems = [f"{list(error.absolute_path)}: {error.message[:200]}" for error in official().iter_errors(asyncapi())]
    assert not problems


def test_the_official_schema_refuses_what_is_none() -> None:
    broken = asyncapi()
    broken["operations"]["ping"]["action"] = "shout"
    assert not official().is_valid(broken)
