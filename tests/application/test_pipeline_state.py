"""A batch as the orchestrator tells of it, put into the form of the status route."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from application.json_text import json_bytes
from application.pipeline_state import status_of
from tests.support.rest_contract import check_body

NOW = datetime(2026, 3, 7, 12, tzinfo=UTC)


def phase(status: str, total: int = 3, successful: int = 0, failed: int = 0, **more: Any) -> dict[str, Any]:
    """Return the state of a phase."""
    counts = {"total": total, "successful": successful, "failed": failed, "pending_dispatch_or_processing": 0}
    return {"status": status, "essay_counts": counts, **more}


def state(**members: Any) -> dict[str, Any]:
    """Return a pipeline's state."""
    return {"batch_id": "b", "user_id": "teacher-0001", "requested_pipelines": [], **members}


def told(**members: Any) -> dict[str, Any]:
    """Return the answer, checked against the contract."""
    body = status_of("b", state(**members), now=NOW)
    assert body is not None
    sent: dict[str, Any] = orjson.loads(json_bytes(body))
    check_body("batch-status", sent)
    return sent


@pytest.mark.parametrize(
    ("phases", "status", "current"),
    [
        ({}, "processing", None),
        ({"spellcheck": "requested_by_user"}, "processing", None),
        ({"spellcheck": "pending_dependencies"}, "processing", None),
        ({"spellcheck": "dispatch_initiated"}, "processing", "spellcheck"),
        ({"spellcheck": "IN_PROGRESS", "cj_assessment": "PENDING_DEPENDENCIES"}, "processing", "spellcheck"),
        ({"spellcheck": "completed_successfully", "nlp": "in_progress"}, "processing", "nlp"),
        (
            {"spellcheck": "completed_successfully", "cj_assessment": "in_progress"},
            "processing",
            "cj_assessment",
        ),
        ({"spellcheck": "completed_successfully", "ai_feedback": "in_progress"}, "processing", "ai_feedback"),
        ({"spellcheck": "completed_successfully"}, "completed_successfully", None),
        ({"spellcheck": "completed_with_partial_success"}, "completed_with_failures", None),
        ({"spellcheck": "failed", "cj_assessment": "in_progress"}, "completed_with_failures", None),
        ({"spellcheck": "cancelled"}, "completed_with_failures", None),
        (
            {"spellcheck": "completed_successfully", "nlp": "skipped_by_user_config"},
            "completed_successfully",
            None,
        ),
        ({"nlp": "skipped_due_to_dependency_failure"}, "completed_with_failures", None),
    ],
)
def test_the_phases_make_the_status(phases: dict[str, str], status: str, current: str | None) -> None:
    body = told(**{name: phase(each) for name, each in phases.items()})
    assert (body["overall_status"], body["current_phase"]) == (status, current)


def test_an_answer_has_what_the_orchestrator_knows_and_no_essays() -> None:
    body = told(
        requested_pipelines=["spellcheck", "cj_assessment"],
        spellcheck=phase(
            "completed_successfully",
            successful=3,
            started_at="2026-03-07T10:00:00+02:00",
            completed_at="2026-03-07T08:05:00Z",
        ),
        cj_assessment=phase("in_progress", successful=1, failed=1, started_at="2026-03-07T08:06:00"),
        nlp=phase("requested_by_user"),
        last_updated="2026-03-07T08:07:00.5Z",
        more="is ignored",
    )
    assert body == {
        "batch_id": "b",
        "user_id": "teacher-0001",
        "assignment_id": None,
        "overall_status": "processing",
        "essay_count": 3,
        "completed_essay_count": 1,
        "failed_essay_count": 1,
        "requested_pipeline": "spellcheck,cj_assessment",
        "current_phase": "cj_assessment",
        "essays": [],
        "created_at": "2026-03-07T08:00:00Z",
        "last_updated": "2026-03-07T08:07:00.500000Z",
        "processing_started_at": "2026-03-07T08:00:00Z",
        "processing_completed_at": None,
        "student_prompt_ref": None,
    }


def test_counts_never_exceed_the_essays() -> None:
    body = told(
        spellcheck=phase("failed", successful=9, failed=9), nlp=phase("failed", successful=2, failed=9)
    )
    counts = ("essay_count", "completed_essay_count", "failed_essay_count")
    assert [body[name] for name in counts] == [3, 2, 1]


def test_times_that_are_not_told_are_those_of_the_answer() -> None:
    body = told()
    assert (body["created_at"], body["last_updated"]) == ("2026-03-07T12:00:00Z", "2026-03-07T12:00:00Z")


@pytest.mark.parametrize("owner", [None, ""])
def test_a_batch_without_an_owner_is_not_known(owner: str | None) -> None:
    assert status_of("b", state(user_id=owner), now=NOW) is None


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "b",
        {},
        {"batch_id": 7},
        state(batch_id="another"),
        state(user_id=["teacher"]),
        state(requested_pipelines="spellcheck"),
        state(spellcheck="done"),
        state(spellcheck={}),
        state(spellcheck=phase("done")),
        state(spellcheck={"status": None}),
        state(spellcheck=phase("failed", total=-1)),
        state(spellcheck=phase("failed", total=2**40)),
        state(spellcheck=phase("failed", started_at="yesterday")),
        state(last_updated="9" * 30),
    ],
    ids=str,
)
def test_anything_else_is_refused_in_words_that_repeat_nothing_of_it(body: Any) -> None:
    with pytest.raises(ValueError, match=r"^it is not (the state of a pipeline|about this batch)$"):
        status_of("b", body, now=NOW)
