"""The status of a batch from its facts: those in a read model's row, or those of its events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from application.responses.batches import BatchStatus, EssayResult
from domain.batch_status import batch_status as status_of
from domain.batch_status import current_phase, failed_essays
from domain.values import CLIENT_STATUS, ClientStatus
from domain.values import BatchStatus as Status

_GIVEN: Final = frozenset(
    status_of(outcome, has_results=has_results, has_all_files=has_all_files)
    for outcome in (None, *(status for status in Status if status.ends_a_phase))
    for has_results in (False, True)
    for has_all_files in (False, True)
)
"""The statuses that RAS gives a batch."""

STATUS_FILTERS: Final = tuple(dict.fromkeys((*get_args(ClientStatus), *(status.value for status in Status))))
"""The words by which clients filter: the statuses that they see, and upstream's."""


def statuses_for(wanted: str) -> tuple[Status, ...]:
    """Return the statuses of the batches that a client finds by a status, none for a word that is not a status.

    Clients filter by the status that they see, or by one of upstream's. One of upstream's that RAS gives finds
    just its batches. Any other finds all that a client sees under the same status: upstream's clients send
    `content_ingestion_failed` for `failed`.
    """
    if wanted in _GIVEN:
        return (Status(wanted),)
    seen = CLIENT_STATUS[Status(wanted)] if wanted in set(Status) else wanted
    return tuple(status for status in Status if CLIENT_STATUS[status] == seen)


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
