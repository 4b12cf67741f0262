"""The assessment app's own description: valid, complete, and true of what it answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from subprocess import run
from typing import Any

import pytest
import schemathesis
from jsonschema import Draft202012Validator
from schemathesis.core.result import Ok
from starlette.routing import Route

from infrastructure.http.assessments.routes import assessments_document
from tests.integration.test_http_openapi import UNDESCRIBED, references
from tests.support.assessing import Assessors, assessors_on
from tests.support.judging import Job, round_robin
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

DOCUMENT = assessments_document()
SCHEMAS = DOCUMENT["components"]["schemas"]
JOBS = ("finished", "running", "only-result", "only-failures", "apart")
TEXTS = ("e1", "e2", "e3", "ANCHOR_1")


@pytest.fixture(scope="module")
def assessors(postgres_server: PostgresServerUnderTest) -> Iterator[Assessors]:
    """An installation with jobs of every kind, all of the batch `known`."""
    with fresh_database(postgres_server.url) as url, assessors_on(url) as running:
        finished, unfinished, result, failures, apart = (Job(name, "known") for name in JOBS)
        running.hear(
            [
                *round_robin(finished, TEXTS, ["teacher-0007", "teacher-0008"]),
                finished.ends(*TEXTS),
                unfinished.decides("e1", "e2"),
                unfinished.fails("e1", "e3"),
                result.ends(*TEXTS, assignment_id="assignment-042"),
                failures.fails("e1", "e2"),
                apart.decides("e1", "e2"),
                apart.decides("e3", "e3"),
            ]
        )
        yield running


def operations() -> list[tuple[str, str]]:
    """Return (method, path) of everything described."""
    return [(method, path) for path, item in DOCUMENT["paths"].items() for method in item]


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
    for reference in set(references(DOCUMENT)):
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_route_is_described_with_its_methods(assessors: Assessors) -> None:
    routed = {
        (method.lower(), route.path)
        for route in assessors.app.routes
        if isinstance(route, Route) and route.path not in UNDESCRIBED
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert set(operations()) == routed
    assert assessors.api.send("GET", "/openapi.json").json() == DOCUMENT


def test_the_command_prints_it() -> None:
    program = [sys.executable, "-m", "infrastructure.cli", "openapi", "--assessments"]

    assert json.loads(run(program, capture_output=True, check=True).stdout) == DOCUMENT


def test_the_tool_that_clients_use_can_load_it() -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    loaded = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert sorted((operation.method, operation.path) for operation in loaded) == sorted(operations())


@pytest.mark.parametrize("job_id", JOBS)
@pytest.mark.parametrize("query", ["", "?limit=1&cursor=1"])
def test_a_job_of_any_kind_is_answered_as_described(assessors: Assessors, job_id: str, query: str) -> None:
    """With all that it may have: `additionalProperties` shows what the description forgot."""
    schema = {"components": DOCUMENT["components"], "$ref": "#/components/schemas/Detailed"}

    Draft202012Validator(schema).validate(assessors.detailed(job_id, query))
    assert assessors.detailed(job_id).keys() == SCHEMAS["Detailed"]["properties"].keys()


def test_a_batch_is_answered_as_described(assessors: Assessors) -> None:
    schema = {"components": DOCUMENT["components"], "$ref": "#/components/schemas/Summary"}
    body = assessors.summary("known")

    Draft202012Validator(schema).validate(body)
    assert {job["job_id"] for job in body["jobs"]} == set(JOBS)
    assert body["jobs"][0].keys() == SCHEMAS["SummaryJob"]["properties"].keys()
