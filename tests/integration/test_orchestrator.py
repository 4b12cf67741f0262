"""Batches that are not registered here are asked of the orchestrator, whatever that does."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
import orjson
import pytest
from prometheus_client import CollectorRegistry

from application.pipeline_state import CannotAsk, Known, NotKnown, Told
from infrastructure.neighbours.call import Calls
from infrastructure.orchestrator_client.client import ORCHESTRATOR, HttpOrchestrator
from infrastructure.orchestrator_client.setup import FAILURES_IN_A_ROW
from infrastructure.resilience import CircuitBreaker
from tests.support.assessment_server import (
    Act,
    AssessmentServer,
    answering,
    assessment_server,
    dripping,
    hanging_up_after,
    held,
    resetting_after,
    saying,
    stalling_after,
)
from tests.support.assessments_client import NEVER_S, SOON_S
from tests.support.clock import Clock
from tests.support.given import registered
from tests.support.http import API_KEY
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.rest_contract import check_body, check_error
from tests.support.school import School, school_on
from tests.support.waiting import wait_until

HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
UNKNOWN: Final = answering({"error": "Batch not found"}, status=404)


def state(batch_id: str, status: str = "in_progress", **more: Any) -> dict[str, Any]:
    """Return what the orchestrator says of a batch."""
    phase = {"status": status, "essay_counts": {"total": 2, "successful": 1, "failed": 0}}
    return {"batch_id": batch_id, "user_id": "teacher-0001", "requested_pipelines": ["spellcheck"]} | {
        "spellcheck": phase,
        "last_updated": "2026-03-07T08:00:00Z",
        **more,
    }


@pytest.fixture
def server() -> Iterator[AssessmentServer]:
    """What is in the place of the orchestrator, with an empty script."""
    with assessment_server() as running:
        yield running


# The client alone.


class Client:
    """The client under test on an event loop of its own, with a clock to turn."""

    def __init__(self, url: str, *, deadline_s: float = NEVER_S) -> None:
        self.clock = Clock()
        self.registry = CollectorRegistry(auto_describe=True)
        self.runner = asyncio.Runner()
        calls = Calls(ORCHESTRATOR, url, api_key="key", deadline_s=deadline_s, max_bytes=100_000)
        breaker = CircuitBreaker(failures=3, reset_after_s=10, clock=self.clock)
        self.under_test = HttpOrchestrator(
            calls, breaker=breaker, kept_s=2, registry=self.registry, clock=self.clock
        )

    def ask(self, *batch_ids: str) -> list[Told]:
        """Ask about batches at once."""

        async def asked() -> list[Told]:
            asking = (self.under_test.status(each, correlation_id="correlation-1") for each in batch_ids)
            return list(await asyncio.gather(*asking))

        return self.runner.run(asked())

    def reason(self) -> str:
        """Ask about a batch and return why that was not possible."""
        [told] = self.ask("b")
        assert isinstance(told, CannotAsk), told
        return told.reason


@contextmanager
def client_of(server: AssessmentServer, **bounds: float) -> Iterator[Client]:
    """A client of `server` for the time of a block."""
    client = Client(server.url, **bounds)
    try:
        yield client
    finally:
        client.runner.run(client.under_test.close())
        client.runner.close()


def test_the_request_says_who_asks_and_an_id_stays_one_segment(server: AssessmentServer) -> None:
    server.then(answering(state("a/b?c")))
    with client_of(server) as client:
        [told] = client.ask("a/b?c")
    assert isinstance(told, Known)
    check_body("batch-status", orjson.loads(told.content))
    [request] = server.requests
    assert request.path == "/internal/v1/batches/a%2Fb%3Fc/pipeline-state"
    assert request.headers["x-internal-api-key"] == "key"
    assert request.headers["x-service-id"] == "result_aggregator_service"
    assert request.headers["x-correlation-id"] == "correlation-1"


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (answering({}, status=500), "The orchestrator answers with status 500."),
        (answering({}, status=302, location="/elsewhere"), "The orchestrator answers with status 302."),
        (answering(b"", status=204), "The orchestrator answers with status 204."),
        (
            answering(b"<h1>", status=404, content_type="text/html"),
            "The orchestrator answers with status 404.",
        ),
        (answering({}, status=503), "The orchestrator cannot answer just now (503)."),
        (resetting_after(), "The orchestrator broke the connection off."),
        (
            hanging_up_after(HEAD + b"Content-Length: 100\r\n\r\n{"),
            "The orchestrator broke the connection off.",
        ),
        (saying(b"\x16\x03\x01 not HTTP at all\r\n\r\n"), "The orchestrator broke the connection off."),
        (answering(b"{"), "The orchestrator's answer cannot be used: it is not JSON."),
        (answering(b"[" * 50_000), "The orchestrator's answer cannot be used: it is not JSON."),
        (
            answering(b"<h1>", content_type="text/html"),
            "The orchestrator's answer cannot be used: it is not JSON.",
        ),
        (answering([]), "The orchestrator's answer cannot be used: it is not the state of a pipeline."),
        (
            answering(state("b", "done")),
            "The orchestrator's answer cannot be used: it is not the state of a pipeline.",
        ),
        (
            answering(state("another")),
            "The orchestrator's answer cannot be used: it is not about this batch.",
        ),
        (
            answering(gzip.compress(b" " * 1_000_000), content_encoding="gzip"),
            "The orchestrator's answer cannot be used: it is compressed, which was not asked for.",
        ),
    ],
)
def test_a_fault_of_the_orchestrator_is_a_reason_that_is_not_kept_and_opens_the_breaker(
    server: AssessmentServer, act: Act, reason: str
) -> None:
    server.otherwise = act
    with client_of(server) as client:
        assert [client.reason() for _ in range(3)] == [reason] * 3
        asked = len(server.requests)
        assert (
            client.reason() == f"The orchestrator is left alone for a while after repeated failures. {reason}"
        )
        assert len(server.requests) == asked
        assert client.registry.get_sample_value("ras_orchestrator_breaker", {"state": "open"}) == 1

        server.otherwise = answering(state("b"))
        client.clock.now_s += 10
        assert isinstance(client.ask("b")[0], Known)


def test_a_server_that_is_not_there_is_a_reason(server: AssessmentServer) -> None:
    server.stop()
    with client_of(server) as client:
        assert client.reason() == "The orchestrator cannot be reached."


@pytest.mark.parametrize(
    "act",
    [
        stalling_after(),
        stalling_after(HEAD),
        dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 10_000),
    ],
)
def test_the_deadline_ends_a_call_that_nothing_else_would(server: AssessmentServer, act: Act) -> None:
    server.otherwise = act
    with client_of(server, deadline_s=SOON_S) as client:
        assert client.reason() == "The orchestrator did not answer within 0.25 s."


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (answering({}, status=401), "The orchestrator does not accept RAS's key or service id (401)."),
        (answering(b"x" * 100_001), "The orchestrator's answer is larger than RAS takes (100,000 bytes)."),
        (
            saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 25),
            "The orchestrator's answer is larger than RAS takes (100,000 bytes).",
        ),
    ],
)
def test_an_orchestrator_that_is_up_is_not_left_alone(
    server: AssessmentServer, act: Act, reason: str
) -> None:
    server.otherwise = act
    with client_of(server) as client:
        assert [client.reason() for _ in range(5)] == [reason] * 5


@pytest.mark.parametrize("act", [UNKNOWN, answering(state("b", user_id=None)), answering(state("b"))])
def test_what_it_says_is_kept_for_a_short_time(server: AssessmentServer, act: Act) -> None:
    server.otherwise = act
    with client_of(server) as client:
        first = client.ask("b")
        client.clock.now_s += 1.9
        assert client.ask("b") == first
        assert len(server.requests) == 1
        client.clock.now_s += 0.1
        assert [type(told) for told in client.ask("b")] == [type(told) for told in first]
        assert len(server.requests) == 2
    assert isinstance(first[0], Known | NotKnown)


def test_however_many_ask_at_once_it_is_asked_once(server: AssessmentServer) -> None:
    server.then(held(answering(state("b"))))

    async def asked(client: Client) -> list[Told]:
        asking = [asyncio.create_task(client.under_test.status("b", correlation_id="c")) for _ in range(20)]
        await asyncio.to_thread(wait_until, lambda: bool(server.requests), what="the orchestrator is asked")
        server.release()
        return await asyncio.gather(*asking)

    with client_of(server) as client:
        told = client.runner.run(asked(client))
    assert len(server.requests) == 1
    assert all(isinstance(each, Known) for each in told)


def test_the_answers_that_are_kept_are_bounded(server: AssessmentServer) -> None:
    server.otherwise = UNKNOWN
    with client_of(server) as client:
        for block in range(0, 1_100, 50):
            client.ask(*(f"batch-{number:04}" for number in range(block, block + 50)))
        assert len(client.under_test._told) == 1_000


# In the status route.


@pytest.fixture
def school(postgres_server: PostgresServerUnderTest, server: AssessmentServer) -> Iterator[School]:
    """An installation whose orchestrator is `server`."""
    settings: dict[str, Any] = {
        "orchestrator_url": server.url + "/",
        "orchestrator_deadline_s": 20,
        "orchestrator_pause_s": 600,
        "orchestrator_kept_s": 0,
    }
    with fresh_database(postgres_server.url) as url, school_on(url, **settings) as running:
        yield running


def ask(school: School, batch_id: str, query: str = "", **headers: str) -> httpx.Response:
    """Ask how a batch stands."""
    return school.api.get(f"/internal/v1/batches/{batch_id}/status{query}", **headers)


def test_a_batch_is_answered_from_the_orchestrator_until_its_registration_arrives(
    school: School, server: AssessmentServer
) -> None:
    server.otherwise = answering(state("young"))
    before = ask(school, "young")

    assert before.status_code == 200
    check_body("batch-status", before.json())
    assert (before.json()["overall_status"], before.json()["current_phase"]) == ("processing", "spellcheck")
    assert before.headers["RAS-Source"] == "orchestrator"
    assert "RAS-Position" not in before.headers
    assert ask(school, "young", If_None_Match=before.headers["ETag"]).status_code == 304
    assert [request.headers["x-internal-api-key"] for request in server.requests] == [API_KEY] * 2
    included = ask(school, "young", "?include=assessment").json()
    assert included.pop("assessment")["available"] is False
    assert included == before.json()

    asked = len(server.requests)
    school.hear("young", registered("e1", "e2"))
    after = ask(school, "young", If_None_Match=before.headers["ETag"])
    assert (after.status_code, after.json()["overall_status"]) == (200, "pending_content")
    assert "RAS-Source" not in after.headers
    assert len(server.requests) == asked


def test_nothing_of_it_is_recorded_or_listed(school: School, server: AssessmentServer) -> None:
    server.otherwise = answering(state("young"))
    assert ask(school, "young").status_code == 200

    assert school.mine("teacher-0001")["batches"] == []
    assert school.api.get("/internal/v1/batches/young/history").status_code == 404
    assert ask(school, "young", "?as_of=2026-03-08T00:00:00Z").status_code == 404


def test_a_batch_that_neither_knows_is_not_found(school: School, server: AssessmentServer) -> None:
    server.otherwise = UNKNOWN
    answer = ask(school, "nobody")
    assert (answer.status_code, answer.json()["error"]) == (404, "Batch not found")
    check_error(answer.json())
    assert len(server.requests) == 1


def test_where_the_orchestrator_cannot_be_asked_the_answer_is_not_that_there_is_no_batch(
    school: School, server: AssessmentServer
) -> None:
    school.hear("known", registered("e1"))
    server.otherwise = answering({}, status=500)
    for number in range(FAILURES_IN_A_ROW + 2):
        answer = ask(school, f"open-{number}")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "The orchestrator answers with status 500." in answer.json()["detail"]
        check_error(answer.json())
    assert len(server.requests) == FAILURES_IN_A_ROW

    assert ask(school, "known").status_code == 200
    health = school.api.send("GET", "/healthz").json()
    assert "The orchestrator answers with status 500." in orjson.dumps(health).decode()
    assert server.url.removeprefix("http://") not in orjson.dumps(health).decode() + answer.text


def test_without_the_setting_nobody_is_asked(
    postgres_server: PostgresServerUnderTest, server: AssessmentServer
) -> None:
    with fresh_database(postgres_server.url) as url, school_on(url) as school:
        assert ask(school, "nobody").status_code == 404
    assert server.requests == []
