"""The client of the assessment app against a real socket that does everything wrong that a server can."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from application.enrichment import Assessment, AssessmentSummary, AssessmentUnavailable
from infrastructure.assessments_client.call import AssessmentCalls
from infrastructure.assessments_client.client import HttpAssessments
from infrastructure.assessments_client.kept_replies import KeptReplies
from infrastructure.assessments_client.metrics import AssessmentMetrics
from infrastructure.assessments_client.outcomes import Reply
from infrastructure.health import Health
from infrastructure.resilience import CircuitBreaker
from tests.integration.test_circuit_breaker import Clock
from tests.support.assessment_server import (
    Act,
    AssessmentServer,
    answering,
    answering_each,
    assessment_server,
    dripping,
    hanging_up_after,
    held,
    resetting_after,
    saying,
    stalling_after,
    summary_body,
)
from tests.support.waiting import wait_until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
HALF = HEAD + b"Content-Length: 100\r\n\r\n{"
"""The beginning of an answer that promises more."""
NEVER_S = 25.0
"""A deadline for calls that end before it: no machine is as slow as that."""
SOON_S = 0.25
"""A deadline for calls that nothing else would ever end."""


class Client:
    """The client under test on an event loop of its own."""

    def __init__(
        self,
        url: str,
        *,
        deadline_s: float = NEVER_S,
        max_bytes: int = 100_000,
        connections: int = 50,
        failures: int = 3,
    ) -> None:
        self.clock = Clock()
        self.registry = CollectorRegistry(auto_describe=True)
        self.runner = asyncio.Runner()
        breaker = CircuitBreaker(failures=failures, reset_after_s=10, clock=self.clock)
        self.under_test = HttpAssessments(
            AssessmentCalls(
                url, api_key="key", deadline_s=deadline_s, max_bytes=max_bytes, connections=connections
            ),
            breaker=breaker,
            kept=KeptReplies(1_000),
            metrics=AssessmentMetrics(self.registry, breaker),
        )

    def ask(self, *batch_ids: str) -> list[Assessment]:
        """Ask about batches at once."""

        async def asked() -> list[Assessment]:
            asking = (self.under_test.of_batch(each, correlation_id="correlation-1") for each in batch_ids)
            return list(await asyncio.gather(*asking))

        return self.runner.run(asked())

    def reason(self, batch_id: str = "b") -> str:
        """Ask about a batch and return why there is no answer."""
        [answer] = self.ask(batch_id)
        assert isinstance(answer, AssessmentUnavailable), answer
        return answer.reason

    def count(self, name: str, **labels: str) -> float:
        """Return a metric."""
        value = self.registry.get_sample_value(name, labels)
        assert value is not None
        return value

    def close(self) -> None:
        """End everything."""
        self.runner.run(self.under_test.close())
        self.runner.close()


@contextmanager
def client_of(server: AssessmentServer, **bounds: float) -> Iterator[Client]:
    """A client of `server` for the time of a block."""
    running = Client(server.url, **bounds)  # type: ignore[arg-type]  # mypy takes every bound for each parameter
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def server() -> Iterator[AssessmentServer]:
    """A server with an empty script."""
    with assessment_server() as running:
        yield running


def contents(answers: Sequence[Assessment]) -> list[object]:
    """Return the summaries' bodies, and the reasons in place of those that are missing."""
    return [
        orjson.loads(each.content) if isinstance(each, AssessmentSummary) else each.reason for each in answers
    ]


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


# The breaker's way: open, half open, closed.


def test_an_open_breaker_answers_without_a_connection_and_one_try_finds_the_app_back(
    server: AssessmentServer,
) -> None:
    server.otherwise = answering(summary_body("b"))
    with client_of(server) as client:
        client.ask("b")
        assert client.runner.run(client.under_test.health()).health is Health.OK
        server.stop()
        for _ in range(3):
            client.reason()
        connections = server.connections
        server.start()

        reasons = {client.reason(f"batch-{number:02}") for number in range(10)}
        [reason] = reasons
        assert reason.startswith("The assessment app is left alone for a while after repeated failures. ")
        assert reason.endswith("The assessment app cannot be reached.")
        assert server.connections == connections
        assert client.count("ras_assessments_not_asked_total") == 10
        health = client.runner.run(client.under_test.health())
        assert (health.health, health.reason) == (
            Health.DEGRADED,
            "The assessment app cannot be reached. It is left alone for a while.",
        )

        client.clock.now_s += 10
        assert client.count("ras_assessments_breaker", state="half_open") == 1
        asked = len(server.requests)
        answers = contents(client.ask("b", *(f"batch-{number:02}" for number in range(10))))
        assert answers[0] == summary_body("b")
        assert set(answers[1:]) == reasons
        assert len(server.requests) == asked + 1
        assert client.count("ras_assessments_breaker", state="closed") == 1
        assert client.runner.run(client.under_test.health()).health is Health.OK


def test_a_try_that_fails_leaves_the_breaker_open(server: AssessmentServer) -> None:
    with client_of(server) as client:
        for _ in range(3):
            client.reason()
        client.clock.now_s += 10
        client.reason()
        asked = len(server.requests)
        assert asked == 4
        assert client.reason().startswith("The assessment app is left alone")
        assert len(server.requests) == asked


def test_calls_cut_off_by_the_deadline_do_not_use_up_the_connections(server: AssessmentServer) -> None:
    """Cancelled requests have been seen to keep places in httpx's pool for good."""
    server.otherwise = stalling_after()
    with client_of(server, deadline_s=SOON_S, connections=2, failures=1000) as client:
        for round_ in range(3):
            answers = client.ask(*(f"batch-{round_}-{number:02}" for number in range(8)))
            assert set(contents(answers)) == {"The assessment app did not answer within 0.25 s."}
        server.otherwise = answering_each
        wait_until(
            lambda: contents(client.ask("b1", "b2")) == [summary_body("b1"), summary_body("b2")],
            what="both connections are of use again",
        )


# One call for all who ask about a batch.


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["b1", "b2", "b3"]), min_size=1, max_size=40))
def test_however_many_ask_at_once_each_batch_is_asked_about_once(
    server: AssessmentServer, asked: list[str]
) -> None:
    server.requests.clear()

    server.otherwise = answering_each
    with client_of(server) as client:
        assert contents(client.ask(*asked)) == [summary_body(each) for each in asked]
        assert sorted(request.path.split("/")[-2] for request in server.requests) == sorted(set(asked))
        assert client.count("ras_assessments_joined_total") == len(asked) - len(set(asked))


def test_a_caller_that_goes_away_does_not_end_the_call_of_the_others(server: AssessmentServer) -> None:
    server.then(held(answering(summary_body("b"))))

    async def asked(client: Client) -> Assessment:
        first = asyncio.create_task(client.under_test.of_batch("b", correlation_id="c"))
        await asyncio.to_thread(wait_until, lambda: bool(server.requests), what="the app is asked")
        second = asyncio.create_task(client.under_test.of_batch("b", correlation_id="c"))
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        server.release()
        return await second

    with client_of(server) as client:
        assert contents([client.runner.run(asked(client))]) == [summary_body("b")]
    assert len(server.requests) == 1


# What is kept by ETag.


def test_an_unchanged_summary_is_not_sent_again(server: AssessmentServer) -> None:
    first, second = summary_body("b", position=1), summary_body("b", position=2)
    server.then(
        answering(first, etag='"1"'),
        saying(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        answering({}, status=500),
        saying(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        answering(second, etag='"2"'),
        answering(first),
        answering(second),
    )
    with client_of(server) as client:
        answers = [contents(client.ask("b"))[0] for _ in range(7)]
        assert client.count("ras_assessments_call_seconds_count", outcome="not_modified") == 2

    failing = "The assessment app answers with status 500."
    assert answers == [first, first, failing, first, second, first, second]
    sent = [request.headers.get("if-none-match") for request in server.requests]
    assert sent == [None, '"1"', '"1"', '"1"', '"1"', '"2"', None]


def test_an_etag_that_cannot_be_sent_back_is_forgotten(server: AssessmentServer) -> None:
    server.otherwise = answering(summary_body("b"), etag='"\N{LATIN SMALL LETTER E WITH ACUTE}"')
    with client_of(server) as client:
        assert contents(client.ask("b") + client.ask("b")) == [summary_body("b")] * 2
    assert "if-none-match" not in server.requests[1].headers


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60), st.booleans()), max_size=60),
    st.integers(0, 100),
)
def test_what_is_kept_stays_within_its_bytes(steps: list[tuple[str, int, bool]], most: int) -> None:
    kept = KeptReplies(most)
    newest: dict[str, Reply | None] = {}
    for batch_id, size, with_etag in steps:
        reply = Reply(b"x" * size, '"etag"' if with_etag else None)
        kept.keep(batch_id, reply)
        newest[batch_id] = reply if with_etag else None
        found = {each: kept.find(each) for each in newest}
        assert all(reply in (None, newest[each]) for each, reply in found.items())
        assert kept.size_bytes == sum(len(reply.content) for reply in found.values() if reply) <= most
