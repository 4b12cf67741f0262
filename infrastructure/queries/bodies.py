"""From rows to the bodies of the API's answers, in the words that upstream's clients know."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from application.queries import CLIENT_STATUS


def batch_body(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a batch with its essays, which `row` holds as the text of a JSON array."""
    status = CLIENT_STATUS[row["status"]]
    failed = row["total"] - row["completed"] if row["status"] == "failed_critically" else row["failed"]
    return {
        "batch_id": row["batch_id"],
        "user_id": row["user_id"],
        "assignment_id": row["assignment_id"],
        "overall_status": status,
        "essay_count": row["total"],
        "completed_essay_count": row["completed"],
        "failed_essay_count": failed,
        "requested_pipeline": None,
        "current_phase": _current_phase(row) if status == "processing" else None,
        "essays": orjson.Fragment(row["essays"]),
        "created_at": _naive(row["registered_at"]),
        "last_updated": _naive(row["last_updated"]),
        "processing_started_at": _naive(row["processing_started_at"]),
        "processing_completed_at": _naive(row["ended_at"]),
        "student_prompt_ref": row["student_prompt_ref"],
    }


def _current_phase(row: Mapping[Any, Any]) -> str | None:
    if "spellcheck" in row["required"] and row["spellchecked"] < row["total"]:
        return "spellcheck"
    return "cj_assessment" if "cj_assessment" in row["required"] and row["assessed_at"] is None else None


def essay_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything known of an essay."""
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
            "checked_at": _naive(row["spellchecked_at"]),
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
            "assessed_at": _naive(row["assessed_at"]),
        },
        "last_updated": _naive(row["changed_at"]),
    }


def notification_body(row: Mapping[str, Any]) -> dict[str, Any]:
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


def _naive(time: datetime | None) -> datetime | None:
    """Return UTC without a zone, as upstream's routes write times."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)


def dead_letter_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dead letter, its bytes in base64."""
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in row.items()
    }
