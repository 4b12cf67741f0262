"""`?include=assessment`: what the assessment app knows, put beside what RAS says, whatever that app does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson
import pytest
from jsonschema import Draft202012Validator

from infrastructure.assessments_client.setup import FAILURES_IN_A_ROW
from infrastructure.http.query.app import openapi_document
from tests.support.assessment_server import (
    AssessmentServer,
    answering,
    answering_each,
    assessment_server,
    dripping,
    hanging_up_after,
    resetting_after,
    saying,
    stalling_after,
    summary_body,
)
from tests.support.given import assessed, registered, spellchecked
from tests.support.http import API_KEY
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.rest_contract import check_body
from tests.support.school import School, school_on
from tests.support.waiting import wait_until

PAUSE_S: Final = 0.2
"""How long the breaker stays open; tests wait for what comes after it."""
PROBLEM_JSON: Final = "application/problem+json"
JOB: Final = {
    "job_id": "42",
    "state": "finished",
    "method": "bradley-terry",
    "reliability": {"ssr": 0.87},
    "ranking": [
        {"item": "e1", "theta": 0.5, "low": 0.1, "high": 0.9, "rank": 1},
        {"item": "e2", "theta": -0.5, "low": -0.9, "high": -0.1, "rank": 2},
    ],
    "misfits": {"items": ["e2"], "judges": ["provider/model"]},
    "warnings": [],
}


@pytest.fixture(scope="module")
def app() -> Iterator[AssessmentServer]:
    """What is in the place of the assessment app."""
    with assessment_server() as running:
        yield running


@pytest.fixture(scope="module")
def installation(postgres_server: PostgresServerUnderTest, app: AssessmentServer) -> Iterator[School]:
    """An installation with a judged batch of two essays, and one that waits."""
    settings: dict[str, Any] = {
        "assessments_url": app.url + "/",
        "assessments_pause_s": PAUSE_S,
        "assessments_deadline_s": 20,
        "assessments_max_bytes": 10_000,
    }
    with fresh_database(postgres_server.url) as url, school_on(url, **settings) as running:
        running.hear(
            "judged", registered("e1", "e2"), spellchecked("e1"), spellchecked("e2"), assessed("e1", "e2")
        )
        running.hear("waiting", registered("e3"))
        yield running


@pytest.fixture
def school(installation: School, app: AssessmentServer) -> School:
    """The same, the assessment app up and asked with success: the breaker is closed."""
    app.otherwise = answering_each
    wait_until(lambda: included(installation, "/batches/waiting/status")["available"], what="the app is back")
    app.requests.clear()
    return installation


def included(school: School, path: str) -> dict[str, Any]:
    """Return what an answer carries under `assessment`, having checked the rest of the answer."""
    response = school.api.get(f"/internal/v1{path}?include=assessment")
    plain = school.api.get(f"/internal/v1{path}")
    assert response.status_code == plain.status_code == 200
    assert response.content.startswith(plain.content.removesuffix(b"}") + b',"assessment":{')
    body: dict[str, Any] = response.json()
    if path.startswith("/batches/"):
        check_body("batch-status", body)
    member: dict[str, Any] = body["assessment"]
    described = openapi_document()["components"]["schemas"][
        "Assessment" if member["available"] else "AssessmentUnavailable"
    ]
    Draft202012Validator(described).validate(member)
    return member


def test_a_batchs_summary_is_put_beside_its_status(school: School, app: AssessmentServer) -> None:
    app.then(answering(summary_body("judged", JOB, provenance={"position": 7}, available=False)))

    assert included(school, "/batches/judged/status") == {
        "available": True,
        "batch_id": "judged",
        "jobs": [JOB],
        "provenance": {"position": 7},
    }
    [request] = app.requests
    assert request.path == "/internal/v1/assessments/judged/summary"
    assert request.headers["x-internal-api-key"] == API_KEY


def test_of_a_summary_an_essay_gets_its_own_part(school: School, app: AssessmentServer) -> None:
    other = {**JOB, "job_id": "43", "ranking": []}
    app.otherwise = answering(summary_body("judged", JOB, other, provenance={"position": 7}))

    shared = {name: JOB[name] for name in ("job_id", "state", "method", "reliability", "warnings")}
    assert included(school, "/essays/e2/aggregated-analysis") == {
        "available": True,
        "batch_id": "judged",
        "essay_id": "e2",
        "jobs": [{**shared, "essay": JOB["ranking"][1], "misfit": True}],  # type: ignore[index]
        "provenance": {"position": 7},
    }
    assert included(school, "/essays/e1/aggregated-analysis")["jobs"][0]["misfit"] is False


@pytest.mark.parametrize(
    "jobs",
    [
        [],
        [{}],
        [{"ranking": None}],
        [{"ranking": [None, 1, "e1", {"item": "e2"}, {"item": ["e1"]}]}],
        [{"ranking": 7}],
    ],
)
def test_an_essay_that_no_judging_ranks_has_no_assessment(
    school: School, app: AssessmentServer, jobs: list[dict[str, Any]]
) -> None:
    app.then(answering(summary_body("judged", *jobs)))
    assert included(school, "/essays/e1/aggregated-analysis") == {
        "available": False,
        "reason": "No judging of this batch has a result for this essay.",
    }


def test_without_include_nobody_is_asked_and_nothing_changes(school: School, app: AssessmentServer) -> None:
    for path in ("/batches/judged/status", "/essays/e1/aggregated-analysis", "/batches/user/teacher-0007"):
        before = school.api.get(f"/internal/v1{path}")
        for query in ("", "?include=", "?include=,", "?unknown=1"):
            after = school.api.get(f"/internal/v1{path}{query}")
            assert (after.content, after.headers["ETag"]) == (before.content, before.headers["ETag"])
            assert "assessment" not in after.json()
    assert app.requests == []


@pytest.mark.parametrize(
    "query", ["include=essays", "include=assessment,essays", "include=assessment&include=x"]
)
@pytest.mark.parametrize(
    ("path", "choices"),
    [
        ("/batches/judged/status", "assessment"),
        ("/essays/e1/aggregated-analysis", "assessment or grammar_errors"),
    ],
)
def test_anything_else_to_include_is_a_bad_request(
    school: School, path: str, choices: str, query: str
) -> None:
    response = school.api.get(f"/internal/v1{path}?{query}")
    assert (response.status_code, response.headers["Content-Type"]) == (400, PROBLEM_JSON)
    assert response.json()["detail"] == f"include can only be {choices}."


def test_the_app_is_not_asked_about_what_ras_does_not_know(school: School, app: AssessmentServer) -> None:
    for path in ("/batches/nobodys/status", "/essays/nobodys/aggregated-analysis"):
        response = school.api.get(f"/internal/v1{path}?include=assessment")
        assert response.status_code == 404
    assert app.requests == []


@pytest.mark.parametrize("path", ["/batches/tagged/status", "/essays/t1/aggregated-analysis"])
def test_the_etag_holds_as_long_as_both_parts_do(school: School, app: AssessmentServer, path: str) -> None:
    school.hear("tagged", registered("t1", "t2"))
    address = f"/internal/v1{path}?include=assessment"
    ranking = [{"item": "t1", "theta": 0.5}]
    app.otherwise = answering(summary_body("tagged", {"ranking": ranking, "position": 1}), etag='"1"')
    first = school.api.get(address).headers["ETag"]
    app.then(saying(b"HTTP/1.1 304 Not Modified\r\n\r\n"))
    assert school.api.get(address, If_None_Match=first).status_code == 304

    app.otherwise = answering(summary_body("tagged", {"ranking": ranking, "position": 2}), etag='"2"')
    second = school.api.get(address, If_None_Match=first)
    assert second.status_code == 200
    school.hear("tagged", spellchecked("t1", at=next(_minutes)))
    third = school.api.get(address, If_None_Match=second.headers["ETag"])
    assert third.status_code == 200
    plain = school.api.get(f"/internal/v1{path}").headers["ETag"]
    assert len({first, second.headers["ETag"], third.headers["ETag"], plain}) == 4


_minutes = iter(range(100, 1000, 10))


@pytest.mark.parametrize("path", ["/batches/judged/status", "/essays/e1/aggregated-analysis"])
def test_whatever_the_app_does_the_answer_is_ras_own_with_a_reason(
    school: School, app: AssessmentServer, path: str
) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    acts_and_reasons = [
        (answering({}, status=500), "The assessment app answers with status 500."),
        (answering({}, status=503), "The assessment app cannot answer just now (503)."),
        (
            answering({}, status=404, content_type=PROBLEM_JSON),
            "The assessment app knows no judging of this batch.",
        ),
        (answering({}, status=401), "The assessment app does not accept RAS's key or service id (401)."),
        (answering(b"<html>"), "The assessment app's answer cannot be used: it is not JSON."),
        (answering(b"x" * 10_001), "The assessment app's answer is larger than RAS takes (10,000 bytes)."),
        (resetting_after(), "The assessment app broke the connection off."),
        (resetting_after(half), "The assessment app broke the connection off."),
        (hanging_up_after(half), "The assessment app broke the connection off."),
    ]
    for act, reason in acts_and_reasons:
        app.otherwise = act
        assert included(school, path) == {"available": False, "reason": reason}
        app.otherwise = answering_each
        included(school, "/batches/waiting/status")  # so that the breaker stays closed


def test_the_breaker_opens_is_seen_and_closes_when_the_app_is_back(
    school: School, app: AssessmentServer
) -> None:
    ready = school.api.send("GET", "/healthz/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    app.stop()
    for _ in range(FAILURES_IN_A_ROW):
        assert not included(school, "/batches/judged/status")["available"]
    connections = app.connections

    ready, healthz = (school.api.send("GET", path) for path in ("/healthz/ready", "/healthz"))
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    [check] = [each for each in ready.json()["checks"] if each["name"] == "assessments"]
    assert check["status"] == "degraded"
    assert check["reason"].startswith("The assessment app cannot be reached.")
    check_body("healthz", healthz.json())
    assert (healthz.status_code, healthz.json()["status"]) == (200, "healthy")
    assert app.connections == connections
    assert str(app.port) not in ready.text + healthz.text

    app.start()
    app.otherwise = answering(summary_body("judged", JOB))
    wait_until(
        lambda: included(school, "/batches/judged/status")["available"],
        what="the breaker lets a try through, which finds the app back",
    )
    ready = school.api.send("GET", "/healthz/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")


def test_calls_and_the_breaker_are_measured(school: School) -> None:
    included(school, "/batches/judged/status")
    lines = school.api.send("GET", "/metrics").text.splitlines()
    assert 'ras_assessments_breaker{state="closed"} 1.0' in lines
    assert 'ras_assessments_breaker{state="open"} 0.0' in lines
    for outcome in ("answered", "timed_out", "unreachable"):
        assert any(f'ras_assessments_call_seconds_count{{outcome="{outcome}"}}' in line for line in lines)
    assert not any("judged" in line for line in lines)


@pytest.mark.parametrize(
    "act",
    [
        stalling_after(),
        stalling_after(b"HTTP/1.1 200 OK\r\n"),
        dripping(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"1\r\n \r\n" * 1000
        ),
    ],
)
def test_ras_answers_in_its_own_time_when_the_app_never_does(
    postgres_server: PostgresServerUnderTest, app: AssessmentServer, act: Any
) -> None:
    app.otherwise = act
    bounds: dict[str, Any] = {"assessments_url": app.url, "assessments_deadline_s": 0.1}
    with fresh_database(postgres_server.url) as url, school_on(url, **bounds) as school:
        school.hear("late", registered("l1"))
        for path in ("/batches/late/status", "/essays/l1/aggregated-analysis"):
            assert included(school, path) == {
                "available": False,
                "reason": "The assessment app did not answer within 0.1 s.",
            }


def test_an_installation_without_the_app_says_so_and_is_ready(
    postgres_server: PostgresServerUnderTest,
) -> None:
    with fresh_database(postgres_server.url) as url, school_on(url) as school:
        school.hear("alone", registered("a1"))
        for path in ("/batches/alone/status", "/essays/a1/aggregated-analysis"):
            assert included(school, path) == {
                "available": False,
                "reason": "No assessment app is set up here (RAS_ASSESSMENTS_URL).",
            }
        ready = school.api.send("GET", "/healthz/ready").json()
        assert ready == {"status": "ok", "checks": [{"name": "database", "status": "ok", "reason": ""}]}


def test_a_summary_of_many_essays_is_passed_on_byte_by_byte(school: School, app: AssessmentServer) -> None:
    ranking = [{"item": f"essay-{number:04}", "theta": number / 7} for number in range(150)]
    body = summary_body("judged", {"job_id": "42", "ranking": ranking})
    app.then(answering(body))
    content = school.api.get("/internal/v1/batches/judged/status?include=assessment").content
    assert content.endswith(orjson.dumps(body).removeprefix(b"{") + b"}")
