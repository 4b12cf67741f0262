"""Addresses, queries and bodies are taken at their word: any id is found, and nothing that was said is ignored."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from infrastructure.http.query.app import openapi_document
from infrastructure.http.routing import UPSTREAMS
from tests.support.given import registered, slot_assigned, spellchecked
from tests.support.http import API_KEY, OPERATORS
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.school import School, school_on

STRANGE = "2026/3 %2F?#é+a"


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    """An installation with batches and essays of strange names."""
    with fresh_database(postgres_server.url) as url, school_on(url) as running:
        for batch_id in (STRANGE, "a/b", "a", "a/b/status"):
            essay = f"essay of {batch_id}"
            running.hear(batch_id, registered(essay), slot_assigned(essay), spellchecked(essay))
        yield running


@pytest.mark.parametrize("batch_id", [STRANGE, "a/b", "a", "a/b/status"])
@pytest.mark.parametrize("what", ["status", "history", "readiness"])
def test_a_batch_is_found_by_any_id(school: School, batch_id: str, what: str) -> None:
    response = school.api.get(f"/internal/v1/batches/{quote(batch_id, safe='')}/{what}")

    assert (response.status_code, response.json()["batch_id"]) == (200, batch_id)


def test_an_essay_is_found_by_any_id(school: School) -> None:
    essay_id = f"essay of {STRANGE}"

    response = school.api.get(f"/internal/v1/essays/{quote(essay_id, safe='')}/aggregated-analysis")

    assert (response.status_code, response.json()["essay_id"]) == (200, essay_id)


@pytest.mark.parametrize("address", ["a%2fb/status", "%61%2Fb/%73tatus", "a%2Fb/statu%73"])
def test_it_does_not_matter_how_an_address_is_encoded(school: School, address: str) -> None:
    assert school.api.get(f"/internal/v1/batches/{address}").json()["batch_id"] == "a/b"


@pytest.mark.parametrize("address", ["a/b/status", "a%2Fb%2Fstatus", "a%252Fb/status", "%2F/status"])
def test_another_address_is_another_thing(school: School, address: str) -> None:
    assert school.api.get(f"/internal/v1/batches/{address}").status_code == 404


@pytest.mark.parametrize("address", ["internal%2Fv1/batches/a/status", "internal%2Fv1%2Fops%2Foutbox"])
def test_an_encoded_slash_leads_around_no_lock(school: School, address: str) -> None:
    assert school.api.send("GET", f"/{address}").status_code == 401
    assert school.api.get(f"/{address}", service=OPERATORS).status_code == 404


def _asking() -> list[str]:
    return [
        path.replace("{", "").replace("}", "")
        for path, operations in openapi_document()["paths"].items()
        if "get" in operations and operations["get"]["security"] and path not in UPSTREAMS
    ]


@pytest.mark.parametrize("path", _asking())
def test_a_parameter_that_there_is_not_is_refused(school: School, path: str) -> None:
    response = school.api.get(f"{path}?asof=2026-03-07T08:15:00Z&bogus", service=OPERATORS)

    assert response.status_code == 400
    assert response.json()["detail"].startswith("There is no parameter 'asof, bogus': there ")


def test_upstreams_clients_may_send_what_its_service_ignores(school: School) -> None:
    essay = quote("essay of a", safe="")
    for path in ("batches/a/status", "batches/user/teacher-0007", f"essays/{essay}/aggregated-analysis"):
        plain = school.api.get(f"/internal/v1/{path}")
        more = school.api.get(f"/internal/v1/{path}?_=17&trace=on&_=18")
        assert (more.status_code, more.json()) == (200, plain.json())


def test_the_parameters_that_there_are_are_named(school: School) -> None:
    detail = school.api.get("/internal/v1/batches/a/history?asof=x").json()["detail"]

    assert detail.endswith(": there are as_of, by, cursor, limit.")


@pytest.mark.parametrize(
    "address",
    [
        "batches/a/history?as_of=2026-03-07T08:15:00Z&as_of=2026-03-07T09:15:00Z",
        "batches/a/history?limit=1&limit=2",
        "batches/user/teacher-0007?status=cancelled&status=",
        "teachers/teacher-0007/notifications?unread=true&unread=false",
    ],
)
def test_a_parameter_given_twice_is_refused(school: School, address: str) -> None:
    response = school.api.get(f"/internal/v1/{address}")

    assert (response.status_code, "must be given once" in response.json()["detail"]) == (400, True)


def test_what_lists_something_may_be_repeated(school: School) -> None:
    assert (
        school.api.get("/internal/v1/batches/a/status?include=assessment&include=assessment").status_code
        == 200
    )


def test_probes_of_health_may_add_what_they_like(school: School) -> None:
    assert school.api.send("GET", "/healthz/live?probe=7&probe=8").status_code == 200


def test_by_goes_with_as_of_in_every_answer(school: School) -> None:
    for what in ("status", "history"):
        response = school.api.get(f"/internal/v1/batches/a/{what}?by=happened")
        assert (response.status_code, response.json()["detail"]) == (
            400,
            "by goes with as_of: give the time too.",
        )


@pytest.mark.parametrize(
    ("order", "body", "there_are"),
    [
        ("dead-letters/1/retry", '{"bogus": 1}', "there are by"),
        ("dead-letters/1/discard", '{"why": "w", "reason": "r"}', "there are by, why"),
        ("dead-letters/retry?all=true", '{"expected": 0, "dry_run": true}', "there are by, expected"),
        (
            "dead-letters/discard?all=true",
            '{"expected": 0, "why": "w", "Why": "w"}',
            "there are by, expected, why",
        ),
        ("check", '{"full": true}', "there is none here"),
        ("check/runs/1/cancel", '{"now": true}', "there is none here"),
        ("parked/batch-a/drain", '{"by": "operator-0001", "limit": 1}', "there are by"),
    ],
)
def test_a_member_that_there_is_not_is_refused_and_nothing_happens(
    school: School, order: str, body: str, there_are: str
) -> None:
    headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": OPERATORS}
    response = school.api.send("POST", f"/internal/v1/ops/{order}", headers, content=body)

    assert response.status_code == 400
    assert response.json()["detail"].endswith(f": {there_are}.")
