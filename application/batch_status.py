"""The status of a batch from its facts: those in a read model's row, or those of its events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        "created_at": row["registered_at"],
        "last_updated": row["last_updated"],
        "processing_started_at": row["processing_started_at"],
        "processing_completed_at": row["ended_at"],
        "student_prompt_ref": row["student_prompt_ref"],
    }
