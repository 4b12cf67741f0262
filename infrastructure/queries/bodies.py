"""From rows to the bodies of the API's answers, in the words that upstream's clients know."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

import orjson

from application.responses.batches import EssayInBatch, EssayResult
from application.responses.dead_letters import DeadLetter, DeadLetterSummary, ParkedStream, Unsent
from application.responses.inbox import Notification
from domain.values import CLIENT_STATUS


def written(essays: str) -> list[EssayResult]:
    """Return essays that the database has written as JSON, for orjson to pass on as they are."""
    return cast("list[EssayResult]", orjson.Fragment(essays))


def essay_body(row: Mapping[str, Any]) -> EssayInBatch:
    """Return an essay in its batch."""
    return {
        "essay_id": row["essay_id"],
        "batch_id": row["batch_id"],
        "user_id": row["user_id"],
        "class_id": row["class_id"],
        "course_code": row["course_code"],
        "assignment_id": row["assignment_id"],
        "batch_status": CLIENT_STATUS[row["status"]],
        "essay_status": row["standing"],
        "file": {
            "filename": row["file_name"],
            "file_upload_id": row["file_upload_id"],
            "text_storage_id": row["text_storage_id"],
        },
        "spellcheck": {
            "status": row["spellcheck_status"],
            "correction_count": row["spellcheck_corrections"],
            "corrected_text_storage_id": row["spellcheck_corrected_text_id"],
            "metrics": row["spellcheck_metrics"],
            "error_detail": row["spellcheck_error"],
            "checked_at": row["spellchecked_at"],
        },
        "cj_assessment": {
            "status": row["cj_status"],
            "job_id": row["job_id"],
            "rank": row["rank"],
            "ranked_essays": row["ranked"],
            "bt_score": row["bt_score"],
            "normalized_score": row["normalized_score"],
            "letter_grade": row["letter_grade"],
            "confidence_score": row["confidence_score"],
            "confidence_label": row["confidence_label"],
            "assessed_at": row["assessed_at"],
        },
        "last_updated": row["changed_at"],
    }


def notification_body(row: Mapping[str, Any]) -> Notification:
    """Return a notification of an inbox."""
    return {
        "notification_id": str(row["notification_id"]),
        "notification_type": row["notification_type"],
        "category": row["category"],
        "priority": row["priority"],
        "action_required": row["action_required"],
        "batch_id": row["batch_id"],
        "class_id": row["class_id"],
        "correlation_id": row["correlation_id"],
        "payload": row["payload"],
        "timestamp": row["happened_at"],
        "read_at": row["read_at"],
    }


def dead_letter_summary(row: Mapping[str, Any]) -> DeadLetterSummary:
    """Return a dead letter without its bytes."""
    return {
        "position": row["position"],
        "stream_id": row["stream_id"],
        "reason": row["reason"],
        "detail": row["detail"],
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["offset"],
        "received_at": row["received_at"],
        "state": row["state"],
        "attempts": row["attempts"],
        "changed_at": row["changed_at"],
        "changed_by": row["changed_by"],
        "note": row["note"],
    }


def dead_letter_body(row: Mapping[str, Any]) -> DeadLetter:
    """Return a dead letter, its bytes in base64."""
    return {
        **dead_letter_summary(row),
        "stream_version": row["stream_version"],
        "key": _base64(row["key"]),
        "value": _base64(row["value"]),
        "headers": row["headers"],
    }


def parked_stream(row: Mapping[str, Any]) -> ParkedStream:
    """Return a stream in which messages wait."""
    return {
        "stream_id": row["stream_id"],
        "waiting": row["waiting"],
        "first_position": row["first_position"],
        "since": row["since"],
        "fault": row["fault"],
    }


def unsent(row: Mapping[str, Any]) -> Unsent:
    """Return the messages of one topic and key that wait to be published."""
    return {
        "topic": row["topic"],
        "key": row["key"],
        "stream_id": row["stream_id"],
        "waiting": row["waiting"],
        "first_position": row["first_position"],
        "since": row["since"],
        "fault": f"{row['reason']} Raise max.message.bytes of the topic; the publisher then sends it.",
    }


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
