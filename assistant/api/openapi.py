"""The API described (OpenAPI 3.1), from the table of routes and the models that check and make its bodies."""

import json
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from assistant.api import problems
from assistant.api.answers import ENVELOPE as OF_ANSWERS
from assistant.api.problems import Problem
from assistant.api.requests import ENVELOPE, OMITTED
from assistant.api.routes import ROUTES, Route
from vlbm import __version__

_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {"description": "It was refused; `code` says why.", "content": {problems.MEDIA_TYPE: {"schema": {}}}}
_SCHEMES = {"bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a JSON Web Token."}}
_CURSORS = [
    {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}, "description": "The `id` of an event."},
    {"name": "cursor", "in": "query", "schema": {"type": "string"}, "description": "The same, for a first request."},
]


def document() -> str:
    """The document as JSON."""
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    for route in ROUTES:
        if route.command is not None and not route.has_body:
            del schemas[route.command.__name__]  # said as parameters
    info = {"title": "vlbm-assistant", "version": __version__, "license": {"name": "Apache-2.0"}}
    components = {"schemas": schemas, "securitySchemes": _SCHEMES}
    return json.dumps({"openapi": "3.1.0", "info": info, "paths": paths, "components": components})


def _schemas() -> dict[str, Any]:
    """What bodies are, by the names of their models; without the fields that only sockets need."""
    commands = {route.command for route in ROUTES if route.command is not None}
    answers: set[type[BaseModel]] = {route.answer for route in ROUTES if route.answer is not None}
    _, of_commands = models_json_schema([(one, "validation") for one in commands], ref_template=_REFERENCE)
    _, of_answers = models_json_schema([(one, "serialization") for one in answers | {Problem}], ref_template=_REFERENCE)
    schemas: dict[str, Any] = of_answers["$defs"] | of_commands["$defs"]
    for command in commands:
        schemas[command.__name__] = _without(schemas[command.__name__], (*ENVELOPE, *OMITTED.get(command, ())))
    for answer in answers:
        schemas[answer.__name__] = _without(schemas[answer.__name__], OF_ANSWERS)
    return schemas


def _without(schema: dict[str, Any], names: Any) -> dict[str, Any]:
    kept = {name: field for name, field in schema.get("properties", {}).items() if name not in names}
    required = [name for name in schema.get("required", ()) if name not in names]
    return {**schema, "properties": kept, "required": required}


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}",
        "parameters": _parameters(route, schemas),
        "responses": _responses(route),
    }
    if route.scope is not None:
        described["security"] = [{"bearer": [route.scope]}]
    if route.command is not None and route.has_body:
        fields = schemas[route.command.__name__]
        body = {"application/json": {"schema": {"$ref": _REFERENCE.format(model=route.command.__name__)}}}
        described["requestBody"] = {"required": bool(fields["required"]), "content": body}
    if route.takes is not None:
        described["requestBody"] = {"required": True, "content": {route.takes: {}}}
    return described


def _parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    text = {"type": "string"}
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text} for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.command is not None and not route.has_body:
        fields = schemas[route.command.__name__]
        found += [
            {"name": name, "in": "query", "required": name in fields["required"], "schema": field}
            for name, field in fields["properties"].items()
        ]
    return found + (_CURSORS if route.path.endswith("/events") else [])


def _responses(route: Route) -> dict[str, Any]:
    content: dict[str, Any] = {media_type: {} for media_type in route.gives}
    if route.answer is not None:
        content = {"application/json": {"schema": {"$ref": _REFERENCE.format(model=route.answer.__name__)}}}
    success: dict[str, Any] = {"description": route.summary} | ({"content": content} if content else {})
    refused = {"schema": {"$ref": _REFERENCE.format(model="Problem")}}
    return {
        str(route.status): success,
        **{str(status): success | {"description": when} for status, when in route.also},
        "default": {**_PROBLEM, "content": {problems.MEDIA_TYPE: refused}},
    }
