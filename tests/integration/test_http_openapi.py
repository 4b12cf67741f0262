"""The API's own description: valid and complete. `test_schema_conformance.py` holds what it answers to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import schemathesis
from jsonschema import Draft202012Validator
from schemathesis.core.result import Ok
from starlette.routing import Route

from infrastructure.http.query.app import create_app, openapi_document
from infrastructure.http.query.history import Past
from tests.support.http import api

UNDESCRIBED = {"/openapi.json", "/docs"}
"""The description does not describe itself."""

DOCUMENT = openapi_document()


def operations() -> list[tuple[str, str]]:
    """Return (method, path) of everything described."""
    return [(method, path) for path, item in DOCUMENT["paths"].items() for method in item]


def test_every_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def references(value: Any) -> Iterator[str]:
    """Yield every `$ref` in a document."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "$ref":
                yield each
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_reference_leads_somewhere() -> None:
    for reference in set(references(DOCUMENT)):
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_route_is_described_with_its_methods(database_url: str) -> None:
    unused: Any = None
    app = create_app(
        batches=unused,
        assessments=unused,
        orchestrator=unused,
        past=Past(unused, unused, unused),
        waiting=unused,
        inbox=unused,
        organisations=unused,
        mark_read=unused,
        dead_letters=unused,
        actions=unused,
        read_outbox=unused,
        check=unused,
        check_runs=unused,
        health=unused,
        api_keys=["key"],
        allowed_services=(),
        operators=(),
        registry=unused,
        environment="",
        on_shutdown=unused,
    )
    routed = {
        (method.lower(), route.path)
        for route in app.routes
        if isinstance(route, Route) and route.path not in UNDESCRIBED
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert set(operations()) == routed
    with api(database_url) as client:
        assert client.send("GET", "/openapi.json").json() == DOCUMENT


def test_the_tool_that_clients_use_can_load_it() -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    loaded = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert sorted((operation.method, operation.path) for operation in loaded) == sorted(operations())
