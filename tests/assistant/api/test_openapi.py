"""The description of the API: it has every route, and refers to what is in it."""

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from assistant.api.openapi import document
from assistant.api.routes import ROUTES

DESCRIBED = json.loads(document())


def test_every_route_is_described() -> None:
    found = {(method.upper(), path) for path, methods in DESCRIBED["paths"].items() for method in methods}
    assert found == {(route.method, route.path) for route in ROUTES}
    for route in ROUTES:
        operation = DESCRIBED["paths"][route.path][route.method.lower()]
        assert str(route.status) in operation["responses"]
        assert ("security" in operation) == (route.scope is not None)


def test_references_lead_somewhere_and_nothing_is_left_over() -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        if isinstance(value, list):
            for part in value:
                yield from references(part)

    schemas = DESCRIBED["components"]["schemas"]
    assert {name.removeprefix("#/components/schemas/") for name in references(DESCRIBED)} == set(schemas)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_bodies_have_no_envelope() -> None:
    schemas = DESCRIBED["components"]["schemas"]
    assert not {"id", "type", "session_id"} & set(schemas["TurnSubmit"]["properties"])
    assert schemas["TurnSubmit"]["required"] == ["client_message_id"]
    assert set(schemas["TurnSubmitAck"]["properties"]) == {"turn_id", "message_id", "duplicate"}
    listing = DESCRIBED["paths"]["/v1/sessions"]["get"]["parameters"]
    assert [parameter["name"] for parameter in listing] == ["before", "limit"]


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for path in DESCRIBED["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)
