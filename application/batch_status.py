"""The status of a batch from its facts: those in a read model's row, or those of its events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, overload

from application.responses.batches import BatchStatus, EssayResult
from domain.batch_status import current_phase, failed_essays
from domain.values import CLIENT_STATUS
from domain.values import BatchStatus as Status


def batch_status(row: Mapping[Any, Any], essays: list[EssayResult]) -> BatchStatus:
    """Return the status of a batch; `row` names its facts as the read model does."""
    status = Status(row["status"])
    total, completed = row["total"], row["completed"]
    return {
        "batch_id": row["batch_id"],
        "user_id": row["user_id"],
        "assignment_id": row["assignment_id"],
        "overall_status": CLIENT_STATUS[status],
        "essay_count": total,
        "completed_essay_count": completed,
        "failed_essay_count": failed_essays(status, total=total, completed=completed, failed=row["failed"]),
        "requested_pipeline": None,
        "current_phase": current_phase(
            status,
            row["required"],
            total=total,
            spellchecked=row["spellchecked"],
            is_assessed=row["assessed_at"] is not None,
        ),
        "essays": essays,
        "created_at": without_zone(row["registered_at"]),
        "last_updated": without_zone(row["last_updated"]),
        "processing_started_at": without_zone(row["processing_started_at"]),
        "processing_completed_at": without_zone(row["ended_at"]),
        "student_prompt_ref": row["student_prompt_ref"],
    }


@overload
def without_zone(time: datetime) -> datetime: ...
@overload
def without_zone(time: None) -> None: ...
def without_zone(time: datetime | None) -> datetime | None:
    """Return UTC without a zone, as upstream's routes write times."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)
