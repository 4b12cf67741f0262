"""From a published domain event to the messages that leave RAS.

Deterministic: the same event gives the same bytes, anyone who sends them and however often. The envelope's
time is therefore when RAS ingested the message that caused the event, not when it is sent.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any, Final, NamedTuple

import orjson

from application import topics
from domain.batch import batch_id_of
from domain.batch_events import (
    NOTIFIED_EVENTS,
    BatchAssessmentCompleted,
    BatchProgressed,
    BatchResultsReady,
)
from domain.dead_letters import MessageDeadLettered
from domain.notifications import (
    NotifiedEvent,
    correlation_id_of,
    published_event_id,
    teacher_notification,
)
from domain.times import utc_text
from domain.values import BatchStatus

PublishedEvent = BatchResultsReady | BatchAssessmentCompleted

OUTBOX_EVENTS: Final = (*NOTIFIED_EVENTS, MessageDeadLettered)
"""The events that leave RAS: what the publisher follows. A partial index serves exactly these topics."""

_STAGES: Final = {
    BatchStatus.COMPLETED_SUCCESSFULLY: "completed",
    BatchStatus.COMPLETED_WITH_FAILURES: "completed",
    BatchStatus.FAILED_CRITICALLY: "failed",
    BatchStatus.CANCELLED: "cancelled",
}


_FIXED_HEADERS: Final = {
    topic: (
        ("event_type", topic.encode()),
        ("schema_version", b"1"),
        ("content_type", b"application/json"),
        ("source_service", topics.SOURCE_SERVICE.encode()),
    )
    for topic in topics.OUTPUT_TOPICS
}


class OutgoingMessage(NamedTuple):
    """A record ready to be sent."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def outgoing_messages(event: NotifiedEvent | MessageDeadLettered) -> tuple[OutgoingMessage, ...]:
    """Return what leaves because of an event.

    That is an announcement for other services with the teacher's notification of it, the notification alone of
    progress, or the notice of a dead letter.
    """
    if isinstance(event, MessageDeadLettered):
        return (_dead_letter(event),)
    if isinstance(event, BatchProgressed):
        return (_notification(event, _origin(event)),)
    if isinstance(event, BatchResultsReady):
        topic, data = topics.BATCH_RESULTS_READY, _results_ready(event)
    else:
        topic, data = topics.BATCH_ASSESSMENT_COMPLETED, _assessment_completed(event)
    origin = _origin(event)
    announcement = _message(
        topic, published_event_id(event, topic), batch_id_of(event.originator_id), data, origin
    )
    return announcement, _notification(event, origin)


def _dead_letter(event: MessageDeadLettered) -> OutgoingMessage:
    """Return where a dead letter's message is in Kafka, and the reason. Its bytes may be personal and stay in RAS."""
    cause, topic = event.causation, topics.DEAD_LETTERS
    data = {
        "stream_id": event.originator_id,
        "stream_version": event.originator_version,
        "reason": event.reason,
        "detail": event.detail,
        "topic": cause.topic,
        "partition": cause.partition,
        "offset": cause.offset,
        "received_at": cause.received_at.astimezone(UTC),
    }
    key = f"{cause.topic}-{cause.partition}"
    return _message(topic, published_event_id(event, topic), key, data, _origin(event))


class _Origin(NamedTuple):
    """What all messages of one event say of where they come from."""

    occurred_at: str
    correlation_id: str
    metadata: dict[str, Any] | None
    headers: tuple[tuple[str, bytes], ...]
    last_headers: tuple[tuple[str, bytes], ...]


def _origin(event: NotifiedEvent | MessageDeadLettered) -> _Origin:
    correlation_id = correlation_id_of(event)
    occurred_at = utc_text(event.causation.received_at)
    traceparent = event.causation.traceparent
    metadata: dict[str, Any] = {"traceparent": traceparent} if traceparent else {}
    if isinstance(event, BatchResultsReady | BatchProgressed):
        metadata["revision"] = event.revision
    return _Origin(
        occurred_at,
        correlation_id,
        metadata or None,
        (("trace_id", correlation_id.encode()), ("occurred_at", occurred_at.encode())),
        (("traceparent", traceparent.encode()),) if traceparent else (),
    )


def _message(topic: str, event_id: str, key: str, data: dict[str, Any], origin: _Origin) -> OutgoingMessage:
    value = {
        "event_id": event_id,
        "event_type": topic,
        "event_timestamp": origin.occurred_at,
        "source_service": topics.SOURCE_SERVICE,
        "schema_version": 1,
        "correlation_id": origin.correlation_id,
        "data_schema_uri": None,
        "data": data,
        "metadata": origin.metadata,
    }
    headers = (
        ("event_id", event_id.encode()),
        *origin.headers,
        *_FIXED_HEADERS[topic],
        *origin.last_headers,
    )
    return OutgoingMessage(topic, key.encode(), orjson.dumps(value, option=orjson.OPT_UTC_Z), headers)


def _results_ready(event: BatchResultsReady) -> dict[str, Any]:
    return {
        **_event_head(event, "batch.results.ready", "results_ready", event.overall_status),
        "total_essays": event.total_essays,
        "completed_essays": event.completed_essays,
        "phase_results": {
            result.phase: {
                "phase_name": result.phase,
                "status": result.status,
                "completed_count": result.completed_count,
                "failed_count": result.failed_count,
                "processing_time_seconds": result.processing_time_seconds,
            }
            for result in event.phase_results
        },
        "overall_status": event.overall_status,
        "processing_duration_seconds": event.processing_duration_seconds,
    }


def _assessment_completed(event: BatchAssessmentCompleted) -> dict[str, Any]:
    return {
        **_event_head(
            event, "batch.assessment.completed", "assessment_completed", BatchStatus.COMPLETED_SUCCESSFULLY
        ),
        "assessment_job_id": event.job_id,
        "rankings_summary": list(event.rankings),
    }


def _event_head(event: PublishedEvent, name: str, short_name: str, status: BatchStatus) -> dict[str, Any]:
    batch_id = batch_id_of(event.originator_id)
    at = event.happened_at.astimezone(UTC)  # upstream may have written another zone
    return {
        "event_name": name,
        "entity_id": batch_id,
        "entity_type": "batch",
        "parent_id": None,
        "timestamp": at,
        "status": status,
        "system_metadata": {
            "entity_id": batch_id,
            "entity_type": "batch",
            "parent_id": None,
            "timestamp": at,
            "processing_stage": _STAGES[status],
            "started_at": None,
            "completed_at": at,
            "event": short_name,
            "error_info": {},
        },
        "batch_id": batch_id,
        "user_id": event.user_id,
    }


def _notification(event: NotifiedEvent, origin: _Origin) -> OutgoingMessage:
    notification = teacher_notification(event)
    data = {
        "teacher_id": notification.teacher_id,
        "notification_type": notification.notification_type,
        "category": notification.category,
        "priority": notification.priority,
        "payload": notification.payload,
        "action_required": notification.action_required,
        "deadline_timestamp": None,
        "correlation_id": notification.correlation_id,
        "batch_id": notification.batch_id,
        "class_id": notification.class_id,
        "timestamp": event.happened_at.astimezone(UTC),
    }
    return _message(
        topics.TEACHER_NOTIFICATION_REQUESTED, notification.event_id, notification.teacher_id, data, origin
    )
