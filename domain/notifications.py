"""Published events and the teacher notifications that follow from them: pure functions.

The publisher sends what these return and the inbox projection stores it, so the two cannot differ. An
id is a UUIDv5 (RFC 9562, section 5.5) of stream, version and topic: the same on every retry, on every
rebuild and on every machine, which is how consumers recognise a repeat.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from domain.aggregate import DomainEvent
from domain.batch import batch_id_of
from domain.batch_events import (
    NOTIFIED_EVENTS,
    BatchAssessmentCompleted,
    BatchProgressed,
    BatchResultsReady,
)
from domain.times import utc_text
from domain.values import CLIENT_STATUS, BatchStatus

NOTIFICATION_TOPIC: Final = "huleedu.notification.teacher.requested.v1"

BATCH_STATUS_UPDATED: Final = "batch_status_updated"
"""The type of the notification by which a list of batches is kept up to date."""

_RESULTS: Final = "processing_results"
_PROGRESS: Final = "batch_progress"

_NAMESPACE: Final = UUID("6f1de3f4-3f0e-5b0c-9d0f-6c4f5b9c7a11")


_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The first digit of the fourth group: two bits of the hash under the two bits of RFC 9562's variant."""


def published_event_id(event: DomainEvent, topic: str) -> str:
    """Return the id under which `event` is published to `topic`, a UUID as text.

    Equal to `str(uuid.uuid5(...))`, which makes two objects for it; every record that is sent has one.
    """
    name = f"{event.originator_id}/{event.originator_version}/{topic}"
    text = sha1(_NAMESPACE.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANT[text[16]]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def correlation_id_of(event: DomainEvent) -> str:
    """Return the correlation id under which `event` leaves.

    That of the run that made an announcement's outcome; else of the message that caused the event; else one that
    is the same for the whole stream.
    """
    run = event.correlation_id if isinstance(event, NOTIFIED_EVENTS) else None
    return run or event.causation.correlation_id or str(uuid5(_NAMESPACE, event.originator_id))


class TeacherNotification(NamedTuple):
    """A notification to a teacher. `payload` is what upstream's websocket service pushes to the browser."""

    event_id: str
    teacher_id: str
    notification_type: str
    priority: str
    batch_id: str
    class_id: str | None
    correlation_id: str
    payload: dict[str, Any]
    category: str = _RESULTS
    action_required: bool = False


NotifiedEvent = BatchResultsReady | BatchAssessmentCompleted | BatchProgressed


def teacher_notification(event: NotifiedEvent) -> TeacherNotification:
    """Return the notification to the teacher about an event."""
    category = _RESULTS
    if isinstance(event, BatchResultsReady):
        kind, priority, payload = _results_ready(event)
    elif isinstance(event, BatchAssessmentCompleted):
        kind, priority, payload = _assessment_completed(event)
    else:
        kind, priority, payload, category = BATCH_STATUS_UPDATED, "standard", _progress(event), _PROGRESS
    return TeacherNotification(
        event_id=published_event_id(event, NOTIFICATION_TOPIC),
        teacher_id=event.user_id,
        notification_type=kind,
        priority=priority,
        batch_id=batch_id_of(event.originator_id),
        class_id=event.class_id,
        correlation_id=correlation_id_of(event),
        payload=payload,
        category=category,
    )


def _results_ready(event: BatchResultsReady) -> tuple[str, str, dict[str, Any]]:
    payload: dict[str, Any] = {
        "batch_id": batch_id_of(event.originator_id),
        "total_essays": event.total_essays,
        "completed_essays": event.completed_essays,
        "overall_status": event.overall_status.value,
        "processing_duration_seconds": event.processing_duration_seconds,
        "phase_results": {
            result.phase: {
                "status": result.status,
                "completed_count": result.completed_count,
                "failed_count": result.failed_count,
                "processing_time_seconds": result.processing_time_seconds,
            }
            for result in event.phase_results
        },
    }
    if event.failed_essays is None:
        # Sent by an early release: the same event must give the same bytes for good.
        message = _FIRST_MESSAGES[event.overall_status]
    else:
        message = _MESSAGES[event.overall_status]
        payload["failed_essays"] = event.failed_essays
        payload["client_status"] = CLIENT_STATUS[event.overall_status]
        payload["completed_at"] = utc_text(event.happened_at)
    payload["message"] = message.format(
        done=event.completed_essays, total=event.total_essays, failed=event.failed_essays
    )
    return "batch_results_ready", "high", payload


def _assessment_completed(event: BatchAssessmentCompleted) -> tuple[str, str, dict[str, Any]]:
    count = len(event.rankings)
    return (
        "batch_assessment_completed",
        "standard",
        {
            "batch_id": batch_id_of(event.originator_id),
            "assessment_job_id": event.job_id,
            "rankings_available": True,
            "rankings_count": count,
            "message": f"The comparative judgement is done: {count} {'essay is' if count == 1 else 'essays are'} ranked.",
        },
    )


def _progress(event: BatchProgressed) -> dict[str, Any]:
    return {
        "batch_id": batch_id_of(event.originator_id),
        "status": CLIENT_STATUS[event.status],
        "completed_essays": event.completed_essays,
        "failed_essays": event.failed_essays,
        "total_essays": event.total_essays,
        "processing_phase": event.processing_phase,
        "completed_at": None if event.completed_at is None else utc_text(event.completed_at),
        "revision": event.revision,
    }


_MESSAGES: Final = {
    BatchStatus.COMPLETED_SUCCESSFULLY: "The batch completed with {done} of {total} essays.",
    BatchStatus.COMPLETED_WITH_FAILURES: "The batch completed with {done} of {total} essays; {failed} failed.",
    BatchStatus.FAILED_CRITICALLY: "The batch failed; it completed with {done} of {total} essays.",
    BatchStatus.CANCELLED: "The batch was cancelled; it completed with {done} of {total} essays.",
}
_FIRST_MESSAGES: Final = {
    BatchStatus.COMPLETED_SUCCESSFULLY: "The results are ready: {done} of {total} essays are done.",
    BatchStatus.COMPLETED_WITH_FAILURES: (
        "The results are ready: {done} of {total} essays are done, the others failed."
    ),
    BatchStatus.FAILED_CRITICALLY: "The batch failed: {done} of {total} essays are done.",
    BatchStatus.CANCELLED: "The batch was cancelled: {done} of {total} essays are done.",
}
