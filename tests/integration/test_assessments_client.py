"""The client of the assessment app against a real socket that does everything wrong that a server can."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infrastructure.health import Health
from tests.support.assessment_server import (
    Act,
    AssessmentServer,
    answering,
    assessment_server,
    dripping,
    hanging_up_after,
    resetting_after,
    saying,
    stalling_after,
    summary_body,
)
from tests.support.assessments_client import SOON_S, client_of, contents

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
HALF = HEAD + b"Content-Length: 100\r\n\r\n{"
"""The beginning of an answer that promises more."""


@pytest.fixture
def server() -> Iterator[AssessmentServer]:
    """A server with an empty script."""
    with assessment_server() as running:
        yield running


def test_a_summary_comes_as_it_was_sent_and_the_request_says_who_asks(server: AssessmentServer) -> None:
    body = summary_body("b", {"job_id": "42", "reliability": {"ssr": 0.87}}, provenance={"position": 7})
    server.then(answering(body))
    with client_of(server) as client:
        assert contents(client.ask("b")) == [body]
        assert client.count("ras_assessments_call_seconds_count", outcome="answered") == 1
        assert client.count("ras_assessments_retries_total") == 0

    [request] = server.requests
    assert request.path == "/internal/v1/assessments/b/summary"
    assert request.headers["x-internal-api-key"] == "key"
    assert request.headers["x-service-id"] == "result_aggregator_service"
    assert request.headers["x-correlation-id"] == "correlation-1"


@pytest.mark.parametrize(
    ("batch_id", "segment"),
    [("a/b?c#d", "a%2Fb%3Fc%23d"), ("..", "%2E%2E"), ("%2E", "%252E"), ("å b", "%C3%A5%20b"), ("a.b", "a.b")],
)
def test_an_id_stays_one_segment_of_the_path(server: AssessmentServer, batch_id: str, segment: str) -> None:
    server.then(answering(summary_body(batch_id)))
    with client_of(server) as client:
        assert contents(client.ask(batch_id)) == [summary_body(batch_id)]
    assert server.requests[0].path == f"/internal/v1/assessments/{segment}/summary"


# What can go wrong, each with its reason. `again`: whether it is tried again.


@pytest.mark.parametrize(
    ("act", "reason", "again"),
    [
        (answering({}, status=500), "The assessment app answers with status 500.", False),
        (answering({}, status=429), "The assessment app answers with status 429.", False),
        (answering({}, status=302, location="/"), "The assessment app answers with status 302.", False),
        (answering(b"", status=204), "The assessment app answers with status 204.", False),
        (answering(b"", status=304), "The assessment app answers with status 304.", False),
        (answering({}, status=404), "The assessment app answers with status 404.", False),
        (answering({}, status=502), "The assessment app cannot answer just now (502).", True),
        (answering({}, status=503), "The assessment app cannot answer just now (503).", True),
        (answering({}, status=504), "The assessment app cannot answer just now (504).", True),
        (resetting_after(), "The assessment app broke the connection off.", True),
        (resetting_after(HEAD), "The assessment app broke the connection off.", True),
        (resetting_after(HALF), "The assessment app broke the connection off.", True),
        (hanging_up_after(), "The assessment app broke the connection off.", True),
        (hanging_up_after(HEAD), "The assessment app broke the connection off.", True),
        (hanging_up_after(HALF), "The assessment app broke the connection off.", True),
        (hanging_up_after(b"\x16\x03\x01 not HTTP at all\r\n\r\n"), "broke the connection off.", True),
        (saying(HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n"), "broke the connection off.", True),
        (saying(HEAD + b"X: " + b"y" * 200_000 + b"\r\n\r\n"), "broke the connection off.", True),
        (answering(b"{", status=200), "cannot be used: it is not JSON.", False),
        (answering(b"\xff\xfe"), "cannot be used: it is not JSON.", False),
        (answering(b'{"batch_id":"b","jobs":[NaN]}'), "cannot be used: it is not JSON.", False),
        (answering(b""), "cannot be used: it is not JSON.", False),
        (answering(b"[" * 50_000), "cannot be used: it is not JSON.", False),
        (answering(summary_body("b"), content_type="text/html"), "cannot be used: it is not JSON.", False),
        (answering([]), "cannot be used: it is no object.", False),
        (answering({"batch_id": "b"}), "cannot be used: it has no list of jobs.", False),
        (answering({"batch_id": "b", "jobs": [1]}), "cannot be used: it has no list of jobs.", False),
        (answering(summary_body("another")), "cannot be used: it is not about this batch.", False),
        (
            answering(gzip.compress(b" " * 1_000_000), content_encoding="gzip"),
            "cannot be used: it is compressed, which was not asked for.",
            False,
        ),
    ],
)
def test_a_fault_of_the_app_is_a_reason_and_opens_the_breaker(
    server: AssessmentServer, act: Act, reason: str, again: bool
) -> None:
    server.otherwise = act
    with client_of(server) as client:
        for _ in range(3):
            assert client.reason().endswith(reason)
        assert len(server.requests) == (9 if again else 3)
        assert client.count("ras_assessments_retries_total") == (6 if again else 0)
        assert client.count("ras_assessments_breaker", state="open") == 1
        assert client.reason().startswith("The assessment app is left alone for a while")
        assert client.reason().endswith(reason)


_LINES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"Content-Type: application/json",
            b"Content-Length: 5",
            b"Content-Length: -1",
            b"Transfer-Encoding: chunked",
            b"Content-Encoding: br",
            b"ETag: \xff",
            b"Set-Cookie: a=b; Max-Age=\xff",
            b"Connection: upgrade",
            b"Retry-After: soon",
        ]
    ),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 503\r\n", b"HTTP/1.1 304 \r\n"]),
    st.lists(_LINES, max_size=4),
    st.binary(max_size=40),
)
def test_no_bytes_that_a_server_could_send_are_a_fault_of_ours(
    server: AssessmentServer, first: bytes, lines: list[bytes], body: bytes
) -> None:
    server.otherwise = hanging_up_after(first + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body)
    with client_of(server) as client:
        assert client.reason().startswith("The assessment app")


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (
            answering({}, status=404, content_type="application/problem+json"),
            "The assessment app knows no judging of this batch.",
        ),
        (answering({}, status=401), "The assessment app does not accept RAS's key or service id (401)."),
        (answering({}, status=403), "The assessment app does not accept RAS's key or service id (403)."),
        (
            answering(b"x" * 100_001),
            "The assessment app's answer is larger than RAS takes (100,000 bytes).",
        ),
        (
            saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 25),
            "The assessment app's answer is larger than RAS takes (100,000 bytes).",
        ),
    ],
)
def test_an_app_that_is_up_but_has_no_summary_is_not_left_alone(
    server: AssessmentServer, act: Act, reason: str
) -> None:
    server.otherwise = act
    with client_of(server) as client:
        assert [client.reason() for _ in range(5)] == [reason] * 5
        assert len(server.requests) == 5
        assert client.count("ras_assessments_breaker", state="closed") == 1
        health = client.runner.run(client.under_test.health())
        key_is_refused = "does not accept RAS's key" in reason
        assert health.health is (Health.DEGRADED if key_is_refused else Health.OK)


@pytest.mark.parametrize(
    "act",
    [
        stalling_after(),
        stalling_after(HEAD),
        stalling_after(HALF),
        dripping(b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 10_000),
    ],
)
def test_the_deadline_ends_a_call_that_nothing_else_would(server: AssessmentServer, act: Act) -> None:
    server.otherwise = act
    with client_of(server, deadline_s=SOON_S) as client:
        assert client.reason() == "The assessment app did not answer within 0.25 s."
        assert client.count("ras_assessments_call_seconds_count", outcome="timed_out") == 1
    assert len(server.requests) <= 1, "a call that ran out of time is not tried again"


def test_nobody_listening_is_a_reason(server: AssessmentServer) -> None:
    server.stop()
    with client_of(server) as client:
        assert client.reason() == "The assessment app cannot be reached."
        assert client.count("ras_assessments_retries_total") == 2


@pytest.mark.parametrize(
    "first", [resetting_after(), resetting_after(HALF), hanging_up_after(), answering({}, status=503)]
)
def test_a_passing_fault_is_tried_again_and_not_seen(server: AssessmentServer, first: Act) -> None:
    server.then(first, answering(summary_body("b")))
    with client_of(server) as client:
        assert contents(client.ask("b")) == [summary_body("b")]
        assert client.count("ras_assessments_retries_total") == 1


def test_an_app_that_says_to_come_back_after_the_deadline_is_believed(server: AssessmentServer) -> None:
    server.otherwise = answering({}, status=503, retry_after="3600")
    with client_of(server) as client:
        assert client.reason() == "The assessment app cannot answer just now (503)."
    assert len(server.requests) == 1


def test_a_connection_that_the_app_closes_between_two_calls_costs_no_answer(server: AssessmentServer) -> None:
    server.otherwise = answering(summary_body("b"))
    with client_of(server) as client:
        client.ask("b")
        server.stop()
        server.start()
        assert contents(client.ask("b")) == [summary_body("b")]
