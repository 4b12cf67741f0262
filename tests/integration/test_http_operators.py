"""Operators settle dead letters and drain parked messages over HTTP; nobody else does."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from application import topics
from application.deciding import Intake, letter_id
from application.translate import Rejection, translate
from domain.batch import BatchAggregate, batch_stream_id
from domain.batch_events import BatchResultsReady
from domain.dead_letters import DeadLetterDiscarded, DeadLetterRetried
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.postgres.schema import initialise
from tests.support.http import API_KEY, GATEWAY, OPERATORS, Api, api
from tests.support.ingesting import (
    Ingestion,
    dead_letter,
    in_partitions,
    intake_of,
    intakes_of,
    messages_of,
    small_batch,
)
from tests.support.postgres_probe import PostgresProbe, opened_store, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import project_store

OPS = "/internal/v1/ops"


class Office:
    """An installation with real streams, and an operator's view of it."""

    def __init__(self, client: Api, url: str, database: PostgresProbe) -> None:
        self.client = client
        self.url = url
        self.database = database

    def ingest(self, *intakes: Intake) -> None:
        """Take messages in and bring the read models up to date."""
        with opened_store(self.url) as store:
            Ingestion(store).insist(intakes)
        project_store(self.url)

    def ask(self, path: str) -> Any:
        """Return an answer for operators."""
        response = self.client.get(OPS + path, service=OPERATORS)
        assert response.status_code == 200, response.text
        return response.json()

    def order(self, path: str, body: Any = None, *, service: str = OPERATORS) -> httpx.Response:
        """Give an order."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": service}
        return self.client.send("POST", OPS + path, headers, content=content)

    def id_of(self, stream_id: str) -> int:
        """Return the id under which a letter is listed."""
        letters = self.ask("/dead-letters?state=all")["dead_letters"]
        [position] = [letter["position"] for letter in letters if letter["stream_id"] == stream_id]
        return int(position)

    def events(self) -> list[Any]:
        """Return everything that is recorded."""
        return [event_codec().to_domain_event(stored) for stored in self.database.stored()]


@pytest.fixture
def office(postgres_server: PostgresServerUnderTest) -> Iterator[Office]:
    """A new installation."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        with probe(url) as database, api(url) as client:
            yield Office(client, url, database)


def too_early() -> tuple[list[Intake], str]:
    """Return a batch whose last spellcheck is put aside for now, and the stream of that letter."""
    messages = in_partitions(messages_of(small_batch()))
    last = max(n for n, message in enumerate(messages) if message.topic == topics.SPELLCHECK_RESULTS)
    late = messages[last]
    aside = Intake(late, translate(late, received_at=late.timestamp - timedelta(days=800)))
    assert isinstance(aside.outcome, Rejection)
    return [aside if n == last else intake_of(m) for n, m in enumerate(messages)], letter_id(late)


def test_a_letter_is_taken_in_again_and_leaves_the_list_of_the_open(office: Office) -> None:
    intakes, stream = too_early()
    office.ingest(*intakes)
    number = office.id_of(stream)

    response = office.order(f"/dead-letters/{number}/retry", {"by": "operator-0001"})

    assert (response.status_code, response.json()) == (
        200,
        {"outcome": "recorded", "reason": None, "detail": None},
    )
    assert sum(isinstance(event, BatchResultsReady) for event in office.events()) == 1
    [trace] = [event for event in office.events() if isinstance(event, DeadLetterRetried)]
    assert trace.by == "operator-0001"
    project_store(office.url)
    assert office.ask("/dead-letters")["dead_letters"] == []
    [letter] = office.ask("/dead-letters?state=retried")["dead_letters"]
    assert (letter["attempts"], letter["changed_by"], letter["note"]) == (1, "operator-0001", "recorded")
    again = office.order(f"/dead-letters/{number}/retry")
    assert (again.status_code, again.json()["title"]) == (409, "Conflict")


def test_a_letter_that_is_refused_again_says_why_and_stays(office: Office) -> None:
    office.ingest(dead_letter(topics.SPELLCHECK_RESULTS))
    [letter] = office.ask("/dead-letters")["dead_letters"]

    body = office.order(f"/dead-letters/{letter['position']}/retry").json()

    assert (body["outcome"], body["reason"]) == ("refused", "not_json")
    project_store(office.url)
    [letter] = office.ask("/dead-letters")["dead_letters"]
    assert (letter["attempts"], letter["changed_by"]) == (1, OPERATORS)


def test_a_corrected_message_is_ingested_in_place_of_a_letter(office: Office) -> None:
    messages = in_partitions(messages_of(small_batch()))
    meant = messages[-1]
    wrong = replace(meant, value=b"{}")
    office.ingest(*(intake_of(message) for message in [*messages[:-1], wrong]))
    path = f"/dead-letters/{office.id_of(letter_id(wrong))}/replace"
    body = {"value": b64encode(meant.value or b"").decode(), "why": "it was empty", "by": "operator-0001"}

    refused = office.order(path, {**body, "value": b64encode(b"[]").decode()})
    assert (refused.status_code, "contract_violation" in refused.json()["detail"]) == (422, True)
    for value in ("?", None, 7):
        assert office.order(path, {**body, "value": value}).status_code == 400
    assert office.order("/dead-letters/987654321/replace", body).status_code == 404
    replaced = office.order(path, body)

    assert (replaced.status_code, replaced.json()) == (200, {"outcome": "recorded"})
    project_store(office.url)
    assert office.ask("/dead-letters")["dead_letters"] == []
    [letter] = office.ask("/dead-letters?state=replaced")["dead_letters"]
    assert (letter["changed_by"], letter["note"]) == ("operator-0001", "it was empty")
    assert office.order(path, body).status_code == 409


def test_a_letter_is_discarded_with_a_reason(office: Office) -> None:
    office.ingest(dead_letter(topics.SPELLCHECK_RESULTS))
    [letter] = office.ask("/dead-letters")["dead_letters"]

    response = office.order(f"/dead-letters/{letter['position']}/discard", {"why": "sent by a test"})

    assert (response.status_code, response.content) == (204, b"")
    [trace] = [event for event in office.events() if isinstance(event, DeadLetterDiscarded)]
    assert (trace.by, trace.why) == (OPERATORS, "sent by a test")
    assert office.order(f"/dead-letters/{letter['position']}/discard", {"why": "again"}).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"why": ""},
        {"why": "  "},
        {"why": 7},
        {"why": "x" * 501},
        {"why": "a\nb"},
        {"why": "a\0b"},
        {"why": "w", "by": ""},
        {"why": "w", "by": None},
        [],
        b"{",
        b"\xff",
        b"[" * 5000,
        b"[" * 20_000,
    ],
    ids=lambda body: repr(body)[:20],
)
def test_an_order_that_makes_no_sense_changes_nothing(office: Office, body: Any) -> None:
    office.ingest(dead_letter(topics.SPELLCHECK_RESULTS))
    [letter] = office.ask("/dead-letters")["dead_letters"]
    before = office.database.log()

    response = office.order(f"/dead-letters/{letter['position']}/discard", body)

    assert (response.status_code, response.json()["title"]) == (400, "Bad request")
    assert office.database.log() == before


@pytest.mark.parametrize("number", ["0", "99", "-1", "one", "9" * 30, "%00"])
def test_what_is_not_there_is_not_found(office: Office, number: str) -> None:
    for action, body in (("retry", None), ("discard", {"why": "w"})):
        response = office.order(f"/dead-letters/{number}/{action}", body)
        assert (response.status_code, response.json()["error"]) == (404, "Dead letter not found")


def test_filters_choose_by_reason_topic_state_and_time(office: Office) -> None:
    office.ingest(
        dead_letter(topics.SPELLCHECK_RESULTS),
        dead_letter(topics.ASSESSMENT_RESULT, value=None),
        dead_letter(topics.SPELLCHECK_RESULTS, partition=1),
    )

    def found(query: str) -> list[tuple[str, int]]:
        letters = office.ask("/dead-letters?" + query)["dead_letters"]
        return [(letter["topic"], letter["partition"]) for letter in letters]

    spellcheck, assessment = topics.SPELLCHECK_RESULTS, topics.ASSESSMENT_RESULT
    assert found(f"topic={spellcheck}") == [(spellcheck, 1), (spellcheck, 0)]
    assert found("reason=no_value") == [(assessment, 0)]
    assert found(f"reason=no_value&topic={spellcheck}") == []
    assert found("state=discarded") == []
    assert len(found("since=2026-03-08T00:00:00Z&until=2026-03-08T00:00:01Z")) == 3
    assert found("until=2026-03-08T00:00:00Z") == []
    assert found("since=2026-03-08T00:00:00.000001Z") == []
    for wrong in (
        "state=bad",
        "since=yesterday",
        "until=2026-03-08",
        "topic=%00",
        "topic=nosuch",
        "reason=luck",
    ):
        assert office.client.get(f"{OPS}/dead-letters?{wrong}", service=OPERATORS).status_code == 400


def test_parked_messages_are_listed_and_drained_in_order(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = small_batch("sick")

    def fail(_batch: BatchAggregate, **_facts: Any) -> None:
        raise KeyError("bug")

    with monkeypatch.context() as patch:
        patch.setattr(BatchAggregate, "record_spellcheck", fail)
        office.ingest(*intakes_of(messages_of(script)))
    stream = batch_stream_id(script.batch_id)
    [parked] = office.ask("/parked")["parked"]
    assert (parked["stream_id"], parked["fault"]) == (stream, "KeyError: 'bug'")
    first = office.ask("/dead-letters?reason=parked")["dead_letters"][-1]
    assert office.order(f"/dead-letters/{first['position']}/retry").status_code == 409
    assert office.order(f"/dead-letters/{first['position']}/discard", {"why": "w"}).status_code == 409

    drained = office.order(f"/parked/{stream}/drain", {"by": "operator-0001"}).json()

    assert (sum(drained["outcomes"].values()), drained["left"]) == (parked["waiting"], 0)
    assert sum(isinstance(event, BatchResultsReady) for event in office.events()) == 1
    project_store(office.url)
    assert office.ask("/parked")["parked"] == []
    assert office.order(f"/parked/{stream}/drain").json()["outcomes"] == {
        "recorded": 0,
        "repeated": 0,
        "dead_lettered": 0,
    }


def test_messages_that_wait_to_be_published_are_listed_by_topic_and_key(office: Office) -> None:
    topic = topics.BATCH_RESULTS_READY
    for position, key, reason in ((7, "a", "It is too large."), (8, "b", "So is it."), (9, "a", "")):
        mark = json.dumps([position, topic, key, f"batch-{key}", reason])
        office.database.execute(
            "INSERT INTO ras.positions (name, position, mark) VALUES (%s, %s, %s)",
            f"parked/publisher/{position}/{topic}",
            position,
            mark,
        )

    first, second = office.ask("/parked")["unsent"]

    assert (first["topic"], first["key"], first["stream_id"]) == (topic, "a", "batch-a")
    assert (first["waiting"], first["first_position"]) == (2, 7)
    assert first["fault"].startswith("It is too large. Raise max.message.bytes of the topic")
    assert (second["key"], second["waiting"], second["first_position"]) == ("b", 1, 8)


@pytest.mark.parametrize("stream", ["dead-letter-x", "batch-nosuch", "assessment-nosuch", "batch-"])
def test_a_stream_in_which_nothing_can_wait_is_not_found(office: Office, stream: str) -> None:
    response = office.order(f"/parked/{stream}/drain")
    assert (response.status_code, response.json()["error"]) == (404, "Stream not found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/dead-letters"),
        ("GET", "/dead-letters/1"),
        ("POST", "/dead-letters/1/retry"),
        ("POST", "/dead-letters/1/replace"),
        ("POST", "/dead-letters/1/discard"),
        ("POST", "/dead-letters/retry"),
        ("POST", "/dead-letters/discard"),
        ("GET", "/parked"),
        ("POST", "/parked/batch-b1/drain"),
        ("GET", "/outbox"),
        ("GET", "/check"),
        ("POST", "/check"),
        ("GET", "/check/runs/1"),
        ("POST", "/check/runs/1/cancel"),
        ("GET", "/nothing"),
    ],
)
def test_only_the_services_of_operators_get_in(office: Office, method: str, path: str) -> None:
    for service in (GATEWAY, "bff-teacher-service"):
        response = office.client.request(method, OPS + path, service=service)
        assert (response.status_code, response.json()["title"]) == (403, "Forbidden")
    assert office.client.request(method, OPS + path, service="nobody").status_code == 403
