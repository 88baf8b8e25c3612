"""The JSON Schema (2020-12) of every text frame, from the pydantic models.

Commands are closed: a server refuses a field that it does not know. What a server sends is open, because clients ignore
fields that they do not know. Models that both sides send are closed.
"""

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from assistant.protocol import frames
from assistant.protocol.frames import Model

Schema = dict[str, Any]

FROM_CLIENT = "ClientFrame"
FROM_SERVER = "ServerFrame"
EVENT = "SessionEvent"
ACK = "Ack"
REFERENCE = "#/$defs/"


class _Generator(GenerateJsonSchema):
    """Pydantic's schemas as the frames really are: what is None is left out of what is sent."""

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        if self.mode != "serialization":
            return super().field_is_required(field, total)
        inner = field["schema"]
        return not (inner["type"] == "default" and inner.get("default") is None and "default_factory" not in inner)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> Schema:
    """The whole schema: one frame, of a client or of a server; ``$defs`` holds them by name."""
    definitions = _definitions()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vlbm-assistant websocket protocol, version 1",
        "description": "A text frame of the websocket protocol: sent by a client, or by a server.",
        "anyOf": [{"$ref": REFERENCE + FROM_CLIENT}, {"$ref": REFERENCE + FROM_SERVER}],
        "$defs": definitions,
    }


def _definitions() -> Schema:
    commands, events = list(frames.commands()), frames.session_events()
    wanted: list[tuple[Model, JsonSchemaMode]] = [(model, "validation") for model in commands]
    wanted += [(model, "serialization") for model in [*frames.notices(), *frames.acks(), *events]]
    _, made = models_json_schema(wanted, schema_generator=_Generator, ref_template=REFERENCE + "{model}")
    definitions: Schema = made["$defs"]
    closed = _reached(definitions, (model.__name__ for model in commands))
    for name, definition in definitions.items():
        _plain(definition)
        definition.pop("title", None)
        if name not in closed and "properties" in definition:
            del definition["additionalProperties"]
        if name not in closed:
            _without_nulls(definition)
        if "type" in definition.get("properties", {}):
            definition["properties"]["type"] = {"const": definition["properties"]["type"]["const"]}
            definition["required"] = ["type", *(field for field in definition["required"] if field != "type")]
    unions = {
        FROM_CLIENT: _union("A command.", commands),
        EVENT: _union("An event of a session's log.", events),
        FROM_SERVER: _union("What a server sends.", [*frames.notices(), *frames.acks()], EVENT),
    }
    return dict(sorted(definitions.items())) | unions


def _union(description: str, models: Iterable[Model], *more: str) -> Schema:
    names = [*(model.__name__ for model in models), *more]
    return {"description": description, "anyOf": [{"$ref": REFERENCE + name} for name in names]}


def _reached(definitions: Schema, names: Iterable[str]) -> set[str]:
    """The definitions that these lead to, themselves included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += references(definitions[name])
    return found


def references(schema: Any) -> list[str]:
    """Names of the definitions that a schema refers to."""
    if isinstance(schema, list):
        return [name for part in schema for name in references(part)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].removeprefix(REFERENCE)] if "$ref" in schema else []
    return own + [name for part in schema.values() for name in references(part)]


def _plain(schema: Any) -> None:
    """Leave OpenAPI's ``discriminator`` out, say union where it was, and put descriptions on one line."""
    if isinstance(schema, list):
        for part in schema:
            _plain(part)
    elif isinstance(schema, dict):
        schema.pop("discriminator", None)
        if isinstance(schema.get("description"), str):
            schema["description"] = plain_words(schema["description"])
        for part in schema.values():
            _plain(part)


def _without_nulls(definition: Schema) -> None:
    """What a server sends holds no null: an optional field is left out."""
    for name, field in definition.get("properties", {}).items():
        kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1 and len(kinds) < len(field["anyOf"]):
            rest = {key: value for key, value in field.items() if key not in ("anyOf", "default")}
            definition["properties"][name] = {**rest, **kinds[0]}


def plain_words(docstring: str) -> str:
    """A docstring as sentences on one line, without reStructuredText's double quotes and its list of attributes."""
    return " ".join(docstring.partition("Attributes:")[0].replace("``", "`").split())
