"""What leaves the service: upstream's contracts, the same bytes each time, ids that tell a repeat."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest

from application import topics
from application.envelopes import OutgoingMessage, PublishedEvent, outgoing_messages
from domain.batch import batch_id_of
from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.dead_letters import MessageDeadLettered
from domain.notifications import published_event_id, teacher_notification
from domain.values import BatchStatus
from tests.domain.test_notifications import NOTIFICATION_ID, RANKED, READY, RESULTS_ID
from tests.golden.expected_events import EXPECTED
from tests.support.fake_store import FakeEventStore
from tests.support.given import minute
from tests.support.ingesting import Ingestion, intake_of
from tests.support.upstream import RECEIVED_AT, SCENARIO_NAMES, expectations, scenario

SCHEMAS: Final = Path(__file__).parents[1] / "contracts" / "schemas"
RECEIVED: Final = "2026-03-08T00:00:00Z"


@cache
def schema_of(topic: str) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of a topic's messages; it insists on formats, as readers do."""
    schema = json.loads((SCHEMAS / f"{topic}.schema.json").read_bytes())
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def fields_of(topic: str) -> tuple[set[str], set[str]]:
    """Return the fields that the contract knows in the envelope and in its data."""
    schema = json.loads((SCHEMAS / f"{topic}.schema.json").read_bytes())
    data = schema["properties"]["data"]["$ref"].removeprefix("#/$defs/")
    return set(schema["properties"]), set(schema["$defs"][data]["properties"])


def told(message: OutgoingMessage) -> dict[str, Any]:
    """Return the message's value."""
    value: dict[str, Any] = json.loads(message.value)
    return value


def published_in(name: str) -> list[PublishedEvent]:
    """Return the events that a scenario makes the service publish, as they come out of the store."""
    lines = [line for line in scenario(name) if line.message.topic in topics.INPUT_TOPICS]
    store = FakeEventStore()
    Ingestion(store).insist([intake_of(line.message) for line in lines])
    return [
        event for event in store.events if isinstance(event, BatchResultsReady | BatchAssessmentCompleted)
    ]


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_every_message_of_every_scenario_keeps_its_contract_and_gives_every_field(name: str) -> None:
    messages = [message for event in published_in(name) for message in outgoing_messages(event)]
    batches = expectations(name).get("batches", {})
    notifications = [told(m)["data"] for m in messages if m.topic == topics.TEACHER_NOTIFICATION_REQUESTED]

    for message in messages:
        value = told(message)
        schema_of(message.topic).validate(value)
        whole, data = fields_of(message.topic)
        assert value.keys() == whole
        assert value["data"].keys() == data
    for batch_id, expected in batches.items():
        kinds = [n["notification_type"] for n in notifications if n["batch_id"] == batch_id]
        assert {kind: kinds.count(kind) for kind in expected["notifications"]} == expected["notifications"]
        assert {n["teacher_id"] for n in notifications if n["batch_id"] == batch_id} <= {expected["user_id"]}


def test_the_schemas_do_assert_formats() -> None:
    value = told(outgoing_messages(READY)[0])

    for wrong in ({"event_id": "not a uuid"}, {"event_timestamp": "yesterday"}, {"correlation_id": "c-1"}):
        with pytest.raises(jsonschema_rs.ValidationError):
            schema_of(topics.BATCH_RESULTS_READY).validate(value | wrong)


def test_results_are_announced_as_the_contract_says() -> None:
    announcement, _ = outgoing_messages(READY)

    assert announcement.topic == "huleedu.ras.batch.results.ready.v1"
    assert announcement.key == b"b1"
    at = "2026-03-07T08:20:00Z"
    assert told(announcement) == {
        "event_id": RESULTS_ID,
        "event_type": "huleedu.ras.batch.results.ready.v1",
        "event_timestamp": "2026-03-07T08:21:00Z",
        "source_service": "result_aggregator_service",
        "schema_version": 1,
        "correlation_id": "c0ffee00-1111-4222-8333-444455556666",
        "data_schema_uri": None,
        "metadata": {"revision": 1},
        "data": {
            "event_name": "batch.results.ready",
            "entity_id": "b1",
            "entity_type": "batch",
            "parent_id": None,
            "timestamp": at,
            "status": "completed_with_failures",
            "system_metadata": {
                "entity_id": "b1",
                "entity_type": "batch",
                "parent_id": None,
                "timestamp": at,
                "processing_stage": "completed",
                "started_at": None,
                "completed_at": at,
                "event": "results_ready",
                "error_info": {},
            },
            "batch_id": "b1",
            "user_id": "teacher-0007",
            "total_essays": 3,
            "completed_essays": 2,
            "phase_results": {
                "spellcheck": {
                    "phase_name": "spellcheck",
                    "status": "completed_with_failures",
                    "completed_count": 2,
                    "failed_count": 1,
                    "processing_time_seconds": 4.25,
                },
                "cj_assessment": {
                    "phase_name": "cj_assessment",
                    "status": "completed",
                    "completed_count": 2,
                    "failed_count": 0,
                    "processing_time_seconds": None,
                },
            },
            "overall_status": "completed_with_failures",
            "processing_duration_seconds": 93.25,
        },
    }


def test_a_ranking_is_announced_as_the_contract_says() -> None:
    announcement, _ = outgoing_messages(RANKED)

    assert announcement.topic == "huleedu.ras.batch.assessment.completed.v1"
    assert announcement.key == b"b1"
    data = told(announcement)["data"]
    assert (data["event_name"], data["system_metadata"]["event"]) == (
        "batch.assessment.completed",
        "assessment_completed",
    )
    assert (data["batch_id"], data["user_id"], data["assessment_job_id"]) == ("b1", "teacher-0007", "1207")
    assert data["rankings_summary"] == [
        {
            "essay_id": essay,
            "rank": rank,
            "score": 0.5,
            "letter_grade": "B",
            "confidence_score": 0.9,
            "confidence_label": "HIGH",
        }
        for rank, essay in enumerate(("e1", "e2"), start=1)
    ]


@pytest.mark.parametrize("event", [READY, RANKED], ids=["results ready", "assessment completed"])
def test_the_notification_is_the_one_of_the_inbox(event: PublishedEvent) -> None:
    notification = teacher_notification(event)
    _, message = outgoing_messages(event)

    assert message.topic == "huleedu.notification.teacher.requested.v1"
    assert message.key == b"teacher-0007"
    assert told(message)["event_type"] == message.topic
    assert told(message)["event_id"] == str(notification.event_id)
    assert told(message)["data"] == {
        "teacher_id": "teacher-0007",
        "notification_type": notification.notification_type,
        "category": "processing_results",
        "priority": notification.priority,
        "payload": notification.payload,
        "action_required": False,
        "deadline_timestamp": None,
        "correlation_id": "c0ffee00-1111-4222-8333-444455556666",
        "batch_id": "b1",
        "class_id": event.class_id,
        "timestamp": "2026-03-07T08:20:00Z",
    }


@pytest.mark.parametrize("event", [READY, RANKED], ids=["results ready", "assessment completed"])
def test_headers_repeat_the_envelope(event: PublishedEvent) -> None:
    for message in outgoing_messages(event):
        value = told(message)
        assert dict(message.headers) == {
            "event_id": value["event_id"].encode(),
            "event_type": message.topic.encode(),
            "trace_id": value["correlation_id"].encode(),
            "schema_version": b"1",
            "occurred_at": value["event_timestamp"].encode(),
            "content_type": b"application/json",
            "source_service": b"result_aggregator_service",
        }
        assert len(dict(message.headers)) == len(message.headers)


def test_a_trace_goes_on_in_headers_and_metadata() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event = replace(RANKED, causation=replace(RANKED.causation, traceparent=traceparent))

    for message in outgoing_messages(event):
        assert told(message)["metadata"] == {"traceparent": traceparent}
        assert dict(message.headers)["traceparent"] == traceparent.encode()
    assert told(outgoing_messages(RANKED)[0])["metadata"] is None


def test_the_same_event_gives_the_same_bytes() -> None:
    for event in published_in("happy-path-30"):
        assert outgoing_messages(event) == outgoing_messages(replace(event))


def test_the_two_messages_of_an_event_have_ids_of_their_own() -> None:
    announcement, notification = outgoing_messages(READY)

    assert (told(announcement)["event_id"], told(notification)["event_id"]) == (RESULTS_ID, NOTIFICATION_ID)


def test_no_two_messages_of_a_stream_of_batches_share_an_id() -> None:
    events = [event for name in SCENARIO_NAMES for event in published_in(name)]
    messages = [message for event in events for message in outgoing_messages(event)]
    ids = [told(message)["event_id"] for message in messages]

    assert len(set(ids)) == len(ids) == 2 * len(events) > 60
    assert ids[0] == str(published_event_id(events[0], messages[0].topic))


def test_every_time_is_utc_whatever_zone_upstream_wrote_it_in() -> None:
    stockholm = timezone(timedelta(hours=1))
    event = replace(
        READY,
        happened_at=minute(20).astimezone(stockholm),
        causation=replace(READY.causation, received_at=minute(21).astimezone(stockholm)),
    )

    assert outgoing_messages(event) == outgoing_messages(READY)


def test_the_time_of_the_envelope_is_when_the_cause_was_received() -> None:
    for event in published_in("single-essay"):
        for message in outgoing_messages(event):
            assert told(message)["event_timestamp"] == RECEIVED
    assert RECEIVED_AT.isoformat().replace("+00:00", "Z") == RECEIVED


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        (BatchStatus.COMPLETED_SUCCESSFULLY, "completed"),
        (BatchStatus.COMPLETED_WITH_FAILURES, "completed"),
        (BatchStatus.FAILED_CRITICALLY, "failed"),
        (BatchStatus.CANCELLED, "cancelled"),
    ],
)
def test_every_outcome_keeps_the_contract(status: BatchStatus, stage: str) -> None:
    for message in outgoing_messages(replace(READY, overall_status=status)):
        schema_of(message.topic).validate(told(message))
        data = told(message)["data"]
        if message.topic == topics.BATCH_RESULTS_READY:
            assert (data["status"], data["overall_status"]) == (status, status)
            assert data["system_metadata"]["processing_stage"] == stage
        else:
            assert data["payload"]["overall_status"] == status


def test_keys_are_the_batch_and_the_teacher() -> None:
    for event in published_in("duplicates"):
        announcement, notification = outgoing_messages(event)
        assert announcement.key == batch_id_of(event.originator_id).encode()
        assert notification.key == event.user_id.encode()


# Dead letters.


def test_a_dead_letter_leaves_as_a_notice_without_its_bytes() -> None:
    event = EXPECTED[MessageDeadLettered.topic]
    assert isinstance(event, MessageDeadLettered)
    secret = replace(event, key="c2VjcmV0", value="c2VjcmV0", headers=(("name", "c2VjcmV0"),))
    [message] = outgoing_messages(secret)

    value = told(message)
    assert (message.topic, message.key) == (topics.DEAD_LETTERS, b"huleedu.batch.essays.registered.v1-2")
    assert value["data"] == {
        "stream_id": event.originator_id,
        "stream_version": 1,
        "reason": "contract_violation",
        "detail": "data.user_id: Field required",
        "topic": "huleedu.batch.essays.registered.v1",
        "partition": 2,
        "offset": 41,
        "received_at": "2026-03-07T08:15:31Z",
    }
    assert value["event_id"] == published_event_id(event, topics.DEAD_LETTERS)
    assert dict(message.headers)["event_id"] == value["event_id"].encode()
    assert b"c2VjcmV0" not in message.value
    assert outgoing_messages(secret) == outgoing_messages(replace(secret))
