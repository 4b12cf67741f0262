"""What stands between a request and a call of the assessment app: breaker, sharing, replies kept by ETag."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.enrichment import Assessment
from infrastructure.health import Health
from infrastructure.neighbours.kept_replies import KeptReplies
from infrastructure.neighbours.outcomes import Reply
from tests.support.assessment_server import (
    AssessmentServer,
    answering,
    answering_each,
    assessment_server,
    held,
    saying,
    stalling_after,
    summary_body,
)
from tests.support.assessments_client import SOON_S, Client, client_of, contents
from tests.support.waiting import wait_until


@pytest.fixture
def server() -> Iterator[AssessmentServer]:
    """A server with an empty script."""
    with assessment_server() as running:
        yield running


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
