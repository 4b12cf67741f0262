"""The demonstration's verdict: silent when all agrees, and it names whatever is tampered with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from application.envelopes import outgoing_messages
from application.messages import IncomingMessage
from application.ports import IntakeCounts
from application.topics import (
    BATCH_ASSESSMENT_COMPLETED,
    BATCH_RESULTS_READY,
    TEACHER_NOTIFICATION_REQUESTED,
)
from application.translate import translate
from application.translated_messages import TranslatedMessage
from domain.batch_events import NOTIFIED_EVENTS
from domain.notifications import published_event_id
from domain.parking import ParkableStream
from domain.values import BatchStatus
from infrastructure.demo.ledger import Ledger
from infrastructure.demo.observer import HeardRecord
from infrastructure.demo.stream import Scenario, stream
from infrastructure.demo.verdict import Evidence, judge
from tests.support.deciding import decide

RECEIVED_AT = datetime(2026, 3, 8, tzinfo=UTC)
CLIENT_STATUS = {
    BatchStatus.COMPLETED_SUCCESSFULLY: "completed_successfully",
    BatchStatus.COMPLETED_WITH_FAILURES: "completed_with_failures",
    BatchStatus.FAILED_CRITICALLY: "failed",
}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """Small classes, and every kind of trouble."""
    return stream(5, 20, class_sizes=(2, 8), failure_share=0.6, disorder=0.3, repeats=0.2)


@pytest.fixture(scope="module")
def good(scenario: Scenario) -> Evidence:
    """What a service without faults would show: the domain's own output, heard once each."""
    aggregates: dict[str, ParkableStream] = {}
    heard: list[HeardRecord] = []
    due = {}
    sent = recorded = events = 0
    for message in scenario:
        incoming = IncomingMessage(message.topic, 0, sent, 0, message.key, message.value)
        sent += 1
        statement = translate(incoming, received_at=RECEIVED_AT)
        assert isinstance(statement, TranslatedMessage)
        collected = decide(statement, aggregates, notes_progress=True)
        recorded += bool(collected)
        events += len(collected)
        for event in collected:
            if isinstance(event, NOTIFIED_EVENTS):
                for outgoing in outgoing_messages(event):
                    cause = event.causation
                    due[UUID(published_event_id(event, outgoing.topic))] = (
                        cause.topic,
                        cause.partition,
                        cause.offset,
                    )
                    heard.append(
                        HeardRecord(
                            outgoing.topic, 0, len(heard), outgoing.key, outgoing.value, outgoing.headers, 0.0
                        )
                    )
    return Evidence(
        expected=scenario.expected,
        sent=sent,
        heard=heard,
        statuses=_statuses(scenario, heard),
        listings=_listings(scenario),
        inboxes=_inboxes(heard),
        ledger=Ledger(IntakeCounts(sent, recorded, sent - recorded), events, due),
    )


def _statuses(scenario: Scenario, heard: list[HeardRecord]) -> dict[str, Any]:
    ranked: dict[str, dict[str, Any]] = defaultdict(dict)
    for record in heard:
        if record.topic == BATCH_ASSESSMENT_COMPLETED:
            data = orjson.loads(record.value or b"")["data"]
            ranked[data["batch_id"]] = {line["essay_id"]: line for line in data["rankings_summary"]}
    return {
        batch.batch_id: {
            "batch_id": batch.batch_id,
            "user_id": batch.user_id,
            "overall_status": CLIENT_STATUS[batch.overall_status],
            "essay_count": batch.total,
            "completed_essay_count": batch.completed,
            "failed_essay_count": batch.failed,
            "essays": [
                {
                    "essay_id": essay_id,
                    "spellcheck_status": "failed" if essay_id in batch.failed_essay_ids else "completed",
                    "cj_rank": ranked[batch.batch_id].get(essay_id, {}).get("rank"),
                    "cj_score": ranked[batch.batch_id].get(essay_id, {}).get("score"),
                }
                for essay_id in batch.essay_ids
            ],
        }
        for batch in scenario.expected.values()
    }


def _listings(scenario: Scenario) -> dict[str, Any]:
    own: dict[str, list[dict[str, str]]] = defaultdict(list)
    for batch in scenario.expected.values():
        own[batch.user_id].append({"batch_id": batch.batch_id})
    return {
        user_id: {"batches": batches, "pagination": {"total": len(batches)}}
        for user_id, batches in own.items()
    }


def _inboxes(heard: list[HeardRecord]) -> dict[str, Any]:
    shown: dict[str, list[dict[str, str]]] = defaultdict(list)
    for record in heard:
        envelope = orjson.loads(record.value or b"")
        if record.topic == TEACHER_NOTIFICATION_REQUESTED and not is_progress(record):
            shown[envelope["data"]["teacher_id"]].append({"notification_id": envelope["event_id"]})
    return {teacher_id: {"notifications": notifications} for teacher_id, notifications in shown.items()}


def is_progress(record: HeardRecord) -> bool:
    return b'"batch_status_updated"' in (record.value or b"")


def faults(evidence: Evidence) -> list[str]:
    return [f"{each.batch_id}: {each.what}" for each in judge(evidence).disagreements]


def test_a_service_without_faults_is_acquitted(good: Evidence) -> None:
    assert faults(good) == []


def test_the_stream_of_this_test_leads_to_every_outcome(good: Evidence) -> None:
    assert {batch.overall_status for batch in good.expected.values()} == set(CLIENT_STATUS)
    assert not all(batch.announced_once for batch in good.expected.values())


# What a consumer hears.


def position_of(evidence: Evidence, topic: str, batch_id: str | None = None) -> int:
    """Return where the first record of a topic (and batch) lies in what was heard."""
    return next(
        number
        for number, record in enumerate(evidence.heard)
        if record.topic == topic
        and not is_progress(record)
        and (batch_id is None or orjson.loads(record.value or b"")["data"]["batch_id"] == batch_id)
    )


def told_once(evidence: Evidence) -> str:
    """Return a batch of which there is one announcement of results and nothing else."""
    return next(b.batch_id for b in evidence.expected.values() if b.announced_once and not b.rankings)


def without(evidence: Evidence, position: int) -> Evidence:
    return replace(evidence, heard=[*evidence.heard[:position], *evidence.heard[position + 1 :]])


def changed(evidence: Evidence, position: int, change: Callable[[dict[str, Any]], None]) -> Evidence:
    """Return the evidence with one heard envelope changed by `change`."""
    record = evidence.heard[position]
    envelope = orjson.loads(record.value or b"")
    change(envelope)
    tampered = replace(record, value=orjson.dumps(envelope))
    return replace(evidence, heard=[*evidence.heard[:position], tampered, *evidence.heard[position + 1 :]])


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (BATCH_RESULTS_READY, "its results were never announced"),
        (BATCH_ASSESSMENT_COMPLETED, "the assessment was announced never, not once"),
        (TEACHER_NOTIFICATION_REQUESTED, "batch_results_ready was notified never, announced once"),
    ],
)
def test_a_record_that_never_came_is_missed(good: Evidence, topic: str, expected: str) -> None:
    once = told_once(good)
    batch_id = once if topic != BATCH_ASSESSMENT_COMPLETED else None
    position = position_of(good, topic, batch_id)

    found = faults(without(good, position))

    assert any(expected in what for what in found)
    assert any("is in the store but was never published" in what for what in found)


@pytest.mark.parametrize(
    "topic", [BATCH_RESULTS_READY, BATCH_ASSESSMENT_COMPLETED, TEACHER_NOTIFICATION_REQUESTED]
)
def test_a_record_that_came_twice_is_noticed(good: Evidence, topic: str) -> None:
    again = good.heard[position_of(good, topic)]

    found = faults(replace(good, heard=[*good.heard, again]))

    assert any("came 2 times" in what for what in found)


def test_a_second_announcement_under_another_event_id_is_noticed(good: Evidence) -> None:
    batch_id = told_once(good)
    record = good.heard[position_of(good, BATCH_RESULTS_READY, batch_id)]
    envelope = orjson.loads(record.value or b"")
    envelope["event_id"] = "00000000-0000-5000-8000-000000000000"
    headers = (("event_id", envelope["event_id"].encode()),)
    forged = replace(record, value=orjson.dumps(envelope), headers=headers)

    found = faults(replace(good, heard=[*good.heard, forged]))

    assert f"{batch_id}: its results were announced 2 times, not once" in found
    assert any("was published but is not in the store" in what for what in found)


def set_data(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda envelope: envelope["data"].__setitem__(name, value)


@pytest.mark.parametrize(
    ("topic", "change", "expected"),
    [
        (
            BATCH_RESULTS_READY,
            set_data("overall_status", "cancelled"),
            "the last announcement says cancelled",
        ),
        (BATCH_RESULTS_READY, set_data("completed_essays", 99), "the announcement counts 99 of"),
        (BATCH_RESULTS_READY, set_data("user_id", "teacher-9999"), "names another teacher than"),
        (BATCH_ASSESSMENT_COMPLETED, set_data("rankings_summary", []), "0 essays are ranked, not the"),
        (BATCH_ASSESSMENT_COMPLETED, set_data("user_id", "teacher-9999"), "names teacher teacher-9999"),
        (TEACHER_NOTIFICATION_REQUESTED, set_data("priority", "standard"), "with priority standard, not to"),
        (TEACHER_NOTIFICATION_REQUESTED, set_data("payload", {}), "does not say what was announced"),
        (TEACHER_NOTIFICATION_REQUESTED, set_data("teacher_id", "teacher-9999"), "the key is"),
        (BATCH_RESULTS_READY, set_data("batch_id", "another"), "the key is"),
        (BATCH_RESULTS_READY, lambda envelope: envelope.pop("data"), "data: Field required"),
        (BATCH_RESULTS_READY, lambda envelope: envelope.update(source_service="x"), "source_service"),
    ],
)
def test_a_record_that_says_something_else_is_noticed(
    good: Evidence, topic: str, change: Callable[[dict[str, Any]], None], expected: str
) -> None:
    once = told_once(good)
    position = position_of(good, topic, None if topic == BATCH_ASSESSMENT_COMPLETED else once)

    found = faults(changed(good, position, change))

    assert any(expected in what for what in found), found


def test_a_record_without_value_is_noticed(good: Evidence) -> None:
    tombstone = replace(good.heard[0], value=None)

    assert any("offset 0" in what for what in faults(replace(good, heard=[tombstone, *good.heard[1:]])))


# What the API answers.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("overall_status", "processing"),
        ("user_id", "teacher-9999"),
        ("essay_count", 99),
        ("completed_essay_count", 99),
        ("failed_essay_count", 99),
    ],
)
def test_a_wrong_answer_is_noticed(good: Evidence, name: str, value: object) -> None:
    batch_id = next(iter(good.expected))
    answer = {**good.statuses[batch_id], name: value}  # type: ignore[dict-item]

    found = faults(replace(good, statuses={**good.statuses, batch_id: answer}))

    assert len(found) == 1
    assert f"{batch_id}: the API says {name} is {value!r}, not" in found[0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda essays: essays.pop(), "essays that are not the"),
        (lambda essays: essays.append(essays[0]), "essays that are not the"),
        (lambda essays: essays[0].update(spellcheck_status="failed"), "failed spellchecks, not the"),
        (lambda essays: essays[0].update(cj_rank=99), "2 ranks or scores differ"),
        (lambda essays: essays[0].update(cj_score=None), "2 ranks or scores differ"),
    ],
)
def test_wrong_essays_are_noticed(
    good: Evidence, change: Callable[[list[dict[str, Any]]], object], expected: str
) -> None:
    batch_id = next(
        batch_id for batch_id, batch in good.expected.items() if batch.rankings and not batch.failed
    )
    answer: Any = deepcopy(good.statuses[batch_id])
    change(answer["essays"])

    found = faults(replace(good, statuses={**good.statuses, batch_id: answer}))

    assert any(expected in what for what in found), found


def test_an_answer_that_did_not_come_is_noticed(good: Evidence) -> None:
    batch_id = next(iter(good.expected))
    refused = "GET /internal/v1/batches/x/status answers 500"

    assert faults(replace(good, statuses={**good.statuses, batch_id: refused})) == [f"{batch_id}: {refused}"]
    assert faults(replace(good, statuses={})) == [
        f"{batch_id}: the API was not asked" for batch_id in good.expected
    ]


def test_a_batch_missing_from_its_teachers_list_is_noticed(good: Evidence) -> None:
    user_id = next(iter(good.listings))

    found = faults(replace(good, listings={user_id: {"batches": [], "pagination": {"total": 0}}}))

    assert f"None: the API lists 0 batches of {user_id}, not the" in found[0]
    assert len(found) == 2


def test_a_notification_missing_from_its_teachers_inbox_is_noticed(good: Evidence) -> None:
    teacher_id, inbox = next(iter(good.inboxes.items()))
    assert isinstance(inbox, dict)
    short = {"notifications": inbox["notifications"][1:]}

    found = faults(replace(good, inboxes={**good.inboxes, teacher_id: short}))

    assert found == [f"None: 1 notifications differ between Kafka and the inbox of {teacher_id}"]


# What the event store counts.


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (lambda intake: replace(intake, taken_in=intake.taken_in - 1), "messages were sent, but"),
        (lambda intake: replace(intake, recorded=intake.recorded - 1), "does not add up"),
        (
            lambda intake: replace(intake, recorded=intake.recorded - 1, dead_lettered=1),
            "1 good messages became dead letters",
        ),
    ],
)
def test_counts_that_do_not_match_are_noticed(
    good: Evidence, counts: Callable[[IntakeCounts], IntakeCounts], expected: str
) -> None:
    ledger = replace(good.ledger, intake=counts(good.ledger.intake))

    assert any(expected in what for what in faults(replace(good, ledger=ledger)))


def test_an_announcement_of_a_batch_that_was_never_sent_is_noticed(good: Evidence) -> None:
    batch_id = next(iter(good.expected))
    expected = {name: batch for name, batch in good.expected.items() if name != batch_id}

    found = faults(replace(good, expected=expected, listings={}))

    assert found == [f"{batch_id}: something was announced of a batch that was never sent"]
