"""How a batch stands, from its facts: those of a read model's row, or those of its events up to some time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, overload

from application.queries import CLIENT_STATUS
from application.responses.batches import BatchStatus, EssayResult


def batch_status(row: Mapping[Any, Any], essays: list[EssayResult]) -> BatchStatus:
    """Return the status of a batch; `row` names its facts as the read model does."""
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
        "essays": essays,
        "created_at": without_zone(row["registered_at"]),
        "last_updated": without_zone(row["last_updated"]),
        "processing_started_at": without_zone(row["processing_started_at"]),
        "processing_completed_at": without_zone(row["ended_at"]),
        "student_prompt_ref": row["student_prompt_ref"],
    }


def _current_phase(row: Mapping[Any, Any]) -> Literal["spellcheck", "cj_assessment"] | None:
    if "spellcheck" in row["required"] and row["spellchecked"] < row["total"]:
        return "spellcheck"
    return "cj_assessment" if "cj_assessment" in row["required"] and row["assessed_at"] is None else None


@overload
def without_zone(time: datetime) -> datetime: ...
@overload
def without_zone(time: None) -> None: ...
def without_zone(time: datetime | None) -> datetime | None:
    """Return UTC without a zone, as upstream's routes write times."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)
