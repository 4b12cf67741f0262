"""The API's own description: valid, complete, and true of what the API answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from domain.dead_letters import Reason
from infrastructure.http.query.app import create_app, openapi_document
from infrastructure.http.query.history import Past
from tests.integration.test_http_operations import letter
from tests.support.given import assessed, registered, slot_assigned, spellcheck_failed, spellchecked
from tests.support.http import API_KEY, OPERATORS
from tests.support.postgres_probe import probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.school import School, school_on

ACCEPTED = {"X-Internal-API-Key": API_KEY, "X-Service-ID": OPERATORS}
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
UNDESCRIBED = {"/openapi.json", "/docs"}
"""The description does not describe itself."""

DOCUMENT = openapi_document()
KNOWN = {"batch_id": "known", "user_id": "teacher-0007", "teacher_id": "teacher-0007", "essay_id": "e1"}


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    """An installation with a finished batch, a new one, and a dead letter."""
    with fresh_database(postgres_server.url) as url, school_on(url, longest_wait_s=0.05) as running:
        running.hear(
            "known",
            registered("e1", "e2", "e3"),
            *(slot_assigned(essay) for essay in ("e1", "e2", "e3")),
            spellchecked("e1"),
            spellcheck_failed("e2"),
            spellchecked("e3"),
            assessed("e1"),
        )
        running.hear("new", registered("e4"))
        running.chain.project([letter(0, Reason.NOT_JSON)])
        with probe(url) as database:  # as followers do, so that `?after=` finds the read models up to date
            database.execute(
                "INSERT INTO ras.positions (name, position) SELECT 'projection/' || name, 100 FROM ras.read_models"
            )
        yield running


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


def test_every_route_is_described_with_its_methods(school: School) -> None:
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
    assert school.api.send("GET", "/openapi.json").json() == DOCUMENT


def test_the_tool_that_clients_use_can_load_it() -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    loaded = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert sorted((operation.method, operation.path) for operation in loaded) == sorted(operations())


# Connection pools of the application use `random` on their threads while cases are drawn on this one.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@pytest.mark.parametrize(("method", "path"), operations())
def test_answers_are_as_described(school: School, method: str, path: str) -> None:
    """Random parameters and, half of the time, ids that exist: status, type and body as described."""
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method.upper()]
    strategy = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)

    @settings(
        max_examples=12,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(strategy, st.booleans())
    def check(case: Any, with_known_ids: bool) -> None:
        if with_known_ids:
            case.path_parameters.update((n, v) for n, v in KNOWN.items() if n in case.path_parameters)
        sent = case.as_transport_kwargs(base_url="http://ras.test")
        headers = {name.lower(): str(value).encode("latin-1") for name, value in sent["headers"].items()}
        headers |= {name.lower(): value.encode() for name, value in ACCEPTED.items()}
        response = school.api.send(
            case.method,
            sent["url"],
            [(name.encode(), value) for name, value in headers.items()],
            params=sent["params"],
        )
        case.validate_response(response, checks=CHECKS)

    check()
