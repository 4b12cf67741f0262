"""What each golden stored event says, written out in today's classes.

A file in `stored/` is what some release of RAS wrote; it never changes. When an event class gets a new
version, the old file stays, its entry here becomes the event that the upcast makes of it, and the new
version gets a file and an entry of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from uuid import UUID

from domain.aggregate import DomainEvent
from domain.assessment_events import (
    AssessmentResultRecorded,
    JudgeDecisionFailed,
    JudgeDecisionRecorded,
    Side,
)
from domain.batch_events import (
    AssessmentCompleted,
    AssessmentFailed,
    BatchAssessmentCompleted,
    BatchRegistered,
    BatchResultsReady,
    DrainOutcome,
    EssaySlotAssigned,
    EssaySpellchecked,
    EssaySpellcheckFailed,
    MessageDrained,
    MessageParked,
    PhaseConcluded,
    PipelineCompleted,
)
from domain.dead_letters import (
    DeadLetterDiscarded,
    DeadLetterRetried,
    MessageDeadLettered,
    Reason,
    RetryOutcome,
)
from domain.inbox import NotificationRead
from domain.values import BatchStatus, Causation, EssayResult, PhaseResult, Ranking, SpellcheckMetrics

_BATCH: Final = "batch-3f0c2a9e-5c1d-4f7e-9b61-0f6a4d2c8e11"
_HAPPENED_AT: Final = datetime(2026, 3, 7, 8, 15, 30, 123456, tzinfo=UTC)
_RECEIVED_AT: Final = datetime(2026, 3, 7, 8, 15, 31, tzinfo=UTC)


def _causation(topic: str, offset: int) -> Causation:
    return Causation(
        topic=topic,
        partition=2,
        offset=offset,
        received_at=_RECEIVED_AT,
        event_id="8b0f7c52-51f4-4c3e-8d1c-2f1d60a7b001",
        correlation_id="c0ffee00-1111-4222-8333-444455556666",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


_SPELLCHECK: Final = _causation("huleedu.essay.spellcheck.results.v1", 9_007_199_254_740_993)
_DECISION: Final = _causation("huleedu.llm_provider.comparison_result.v1", 4711)
_ASSESSMENT: Final = _causation("huleedu.assessment.result.published.v1", 3)

EXPECTED: Final[dict[str, DomainEvent]] = {
    "ras.batch.registered.v1": BatchRegistered(
        originator_id=_BATCH,
        originator_version=1,
        happened_at=_HAPPENED_AT,
        causation=_causation("huleedu.batch.essays.registered.v1", 0),
        user_id="teacher-0007",
        essay_ids=("essay-b", "essay-a", "essay-å"),
        course_code="ENG5",
        class_id="class-003",
        org_id=None,
        student_prompt_ref={"references": {"student_prompt_text": {"storage_id": "prompt-1", "path": ""}}},
    ),
    "ras.batch.essay-slot-assigned.v1": EssaySlotAssigned(
        originator_id=_BATCH,
        originator_version=2,
        happened_at=_HAPPENED_AT,
        causation=Causation(
            topic="huleedu.els.essay.slot.assigned.v1", partition=0, offset=17, received_at=_RECEIVED_AT
        ),
        essay_id="essay-a",
        file_upload_id="upload-1",
        text_storage_id="text-1",
        original_file_name="essay-03 “räksmörgås”.docx",
    ),
    "ras.batch.essay-spellchecked.v1": EssaySpellchecked(
        originator_id=_BATCH,
        originator_version=3,
        happened_at=datetime(2026, 3, 7, 9, 15, 30, tzinfo=timezone(timedelta(hours=1))),
        causation=_SPELLCHECK,
        essay_id="essay-a",
        corrections_made=11,
        metrics=SpellcheckMetrics(
            total_corrections=11,
            l2_dictionary_corrections=4,
            spellchecker_corrections=7,
            word_count=311,
            correction_density=3.54,
        ),
        original_text_storage_id="text-1",
        corrected_text_storage_id="text-2",
        processing_duration_ms=912,
        processor_version="pyspellchecker_1.0_L2_swedish",
    ),
    "ras.batch.essay-spellcheck-failed.v1": EssaySpellcheckFailed(
        originator_id=_BATCH,
        originator_version=4,
        happened_at=_HAPPENED_AT,
        causation=_SPELLCHECK,
        essay_id="essay-b",
        corrections_made=0,
        error_info={
            "error_code": "CONTENT_SERVICE_ERROR",
            "details": {"http_status": 502, "request": 123456789012345678901234567890, "share": 0.1},
            "retried": [True, None, "text not readable"],
        },
    ),
    "ras.batch.phase-concluded.v1": PhaseConcluded(
        originator_id=_BATCH,
        originator_version=5,
        happened_at=_HAPPENED_AT,
        causation=_causation("huleedu.els.batch.phase.outcome.v1", 1),
        phase="spellcheck",
        status=BatchStatus.COMPLETED_WITH_FAILURES,
        processed_count=2,
        failed_essay_ids=("essay-b",),
    ),
    "ras.batch.assessment-completed.v1": AssessmentCompleted(
        originator_id=_BATCH,
        originator_version=6,
        happened_at=_HAPPENED_AT,
        causation=_ASSESSMENT,
        job_id="1207",
        assignment_id="assignment-042",
        method="cj_assessment",
        model_used="synthetic-model-1",
        model_provider="mock",
        model_version=None,
        results=(
            EssayResult(
                essay_id="essay-a",
                rank=1,
                bt_score=1.2345678901234567,
                normalized_score=0.91,
                letter_grade="A-",
                confidence_score=0.88,
                confidence_label="HIGH",
                display_name="Essay A",
                feedback_uri="https://feedback.example/1",
                metrics_uri=None,
            ),
            EssayResult(
                essay_id="ANCHOR_7",
                rank=2,
                bt_score=-0.5,
                normalized_score=0.4,
                letter_grade="D",
                confidence_score=1.0,
                confidence_label="MID",
                is_anchor=True,
            ),
        ),
        metadata={"comparison_count": 12, "anchor_grades": {"ANCHOR_7": "D"}},
    ),
    "ras.batch.assessment-failed.v1": AssessmentFailed(
        originator_id=_BATCH,
        originator_version=7,
        happened_at=_HAPPENED_AT,
        causation=_ASSESSMENT,
        job_id="1208",
        assignment_id=None,
        metadata={},
    ),
    "ras.batch.pipeline-completed.v1": PipelineCompleted(
        originator_id=_BATCH,
        originator_version=8,
        happened_at=_HAPPENED_AT,
        causation=_causation("huleedu.batch.pipeline.completed.v1", 2),
        completed_phases=("spellcheck", "cj_assessment"),
        final_status=BatchStatus.COMPLETED_SUCCESSFULLY,
        processing_duration_seconds=61.5,
        successful_essay_count=3,
        failed_essay_count=0,
    ),
    "ras.batch.results-ready.v1": BatchResultsReady(
        originator_id=_BATCH,
        originator_version=9,
        happened_at=_HAPPENED_AT,
        causation=_ASSESSMENT,
        user_id="teacher-0007",
        class_id=None,
        revision=2,
        overall_status=BatchStatus.COMPLETED_WITH_FAILURES,
        total_essays=3,
        completed_essays=2,
        phase_results=(
            PhaseResult(phase="spellcheck", completed_count=2, failed_count=1),
            PhaseResult(phase="cj_assessment", completed_count=2, failed_count=0),
        ),
        processing_duration_seconds=93.25,
    ),
    "ras.batch.assessment-announced.v1": BatchAssessmentCompleted(
        originator_id=_BATCH,
        originator_version=10,
        happened_at=_HAPPENED_AT,
        causation=_ASSESSMENT,
        user_id="teacher-0007",
        class_id="class-003",
        job_id="1207",
        rankings=(
            Ranking(
                essay_id="essay-a",
                rank=1,
                score=1.2345678901234567,
                letter_grade="A-",
                confidence_score=0.88,
                confidence_label="HIGH",
            ),
        ),
    ),
    "ras.batch.message-drained.v1": MessageDrained(
        originator_id=_BATCH,
        originator_version=14,
        happened_at=_HAPPENED_AT,
        causation=_SPELLCHECK,
        parked_version=11,
        outcome=DrainOutcome.RECORDED,
        by="operator-0001",
    ),
    "ras.batch.message-parked.v1": MessageParked(
        originator_id=_BATCH,
        originator_version=11,
        happened_at=_HAPPENED_AT,
        causation=_SPELLCHECK,
        fault="ZeroDivisionError",  # version 1 had it in the text only
        reason="ZeroDivisionError: division by zero",
        key="ZXNzYXktYQ==",
        value="eyJldmVudF90eXBlIjogIngifQ==",
        headers=(("event_id", "OGIwZjdjNTI="), ("event_id", "")),
    ),
    "ras.batch.message-parked.v2": MessageParked(
        originator_id=_BATCH,
        originator_version=12,
        happened_at=_HAPPENED_AT,
        causation=_SPELLCHECK,
        fault=None,
        reason="An earlier message of this batch is parked.",
        key="ZXNzYXktYQ==",
        value="eyJldmVudF90eXBlIjogIngifQ==",
        headers=(("event_id", "OGIwZjdjNTI="),),
    ),
    "ras.assessment.judge-decision-recorded.v1": JudgeDecisionRecorded(
        originator_id="assessment-1207",
        originator_version=1,
        happened_at=_HAPPENED_AT,
        causation=_DECISION,
        batch_id="3f0c2a9e-5c1d-4f7e-9b61-0f6a4d2c8e11",
        request_id="5d1f6c1e-4a3b-4c55-8a52-3b1c9d7e0a01",
        essay_a_id="essay-a",
        essay_b_id="ANCHOR_7",
        winner=Side.B,
        judge=None,
        provider="mock",
        model="synthetic-model-1",
        justification="essay-b argues “closer to the text”.",
        confidence=2.746,
        response_time_ms=3143,
        prompt_tokens=1645,
        completion_tokens=100,
        total_tokens=1745,
        cost=0.006435,
        requested_at=datetime(2026, 3, 7, 8, 15, 27, tzinfo=UTC),
        request_metadata={"cj_batch_id": "1207", "cj_source": "els", "prompt_sha256": "63c1f7df"},
    ),
    "ras.assessment.judge-decision-failed.v1": JudgeDecisionFailed(
        originator_id="assessment-1207",
        originator_version=2,
        happened_at=_HAPPENED_AT,
        causation=_DECISION,
        batch_id=None,
        request_id="5d1f6c1e-4a3b-4c55-8a52-3b1c9d7e0a02",
        essay_a_id="essay-a",
        essay_b_id="essay-b",
        judge="teacher-0007",
        provider="mock",
        model="unknown",
        error_code="TIMEOUT",
        error={"error_code": "TIMEOUT", "message": "no answer in time", "details": {"retryable": True}},
        response_time_ms=0,
        prompt_tokens=0,
        completion_tokens=0,
        total_tokens=0,
        cost=0.0,
        requested_at=datetime(2026, 3, 7, 8, 14, 30, tzinfo=UTC),
        request_metadata={"cj_batch_id": "1207"},
    ),
    "ras.assessment.result-recorded.v1": AssessmentResultRecorded(
        originator_id="assessment-1207",
        originator_version=3,
        happened_at=_HAPPENED_AT,
        causation=_ASSESSMENT,
        batch_id="3f0c2a9e-5c1d-4f7e-9b61-0f6a4d2c8e11",
        assignment_id="assignment-042",
        method="cj_assessment",
        model_used="synthetic-model-1",
        model_provider="mock",
        model_version="2026-02-01",
        results=(
            EssayResult(
                essay_id="ANCHOR_7",
                rank=1,
                bt_score=0.75,
                normalized_score=0.6,
                letter_grade="C",
                confidence_score=1.0,
                confidence_label="HIGH",
                is_anchor=True,
            ),
        ),
        metadata={"comparison_count": 12, "anchor_grades": {"ANCHOR_7": "C"}},
    ),
    "ras.dead-letter.message-dead-lettered.v1": MessageDeadLettered(
        originator_id="dead-letter-huleedu.batch.essays.registered.v1-2-41-1772870400000",
        originator_version=1,
        happened_at=_HAPPENED_AT,
        causation=Causation(
            topic="huleedu.batch.essays.registered.v1", partition=2, offset=41, received_at=_RECEIVED_AT
        ),
        reason=Reason.CONTRACT_VIOLATION,
        detail="data.user_id: Field required",
        key=None,
        value="//4=",
        headers=(),
    ),
    "ras.dead-letter.retried.v1": DeadLetterRetried(
        originator_id="dead-letter-huleedu.batch.essays.registered.v1-2-41-1772870400000",
        originator_version=2,
        happened_at=_HAPPENED_AT,
        causation=_causation("huleedu.batch.essays.registered.v1", 41),
        attempt=1,
        outcome=RetryOutcome.REFUSED,
        reason=Reason.CONTRACT_VIOLATION,
        detail="data.user_id: Field required",
        by="operator-0001",
    ),
    "ras.dead-letter.discarded.v1": DeadLetterDiscarded(
        originator_id="dead-letter-huleedu.batch.essays.registered.v1-2-41-1772870400000",
        originator_version=3,
        happened_at=_HAPPENED_AT,
        causation=_causation("huleedu.batch.essays.registered.v1", 41),
        by="operator-0001",
        why="Sent by a test: «övning».",
    ),
    "ras.inbox.notification-read.v1": NotificationRead(
        originator_id="inbox-0b86b1a1-58a2-5f0e-8a3d-7a8f6c9c1d2e",
        originator_version=1,
        happened_at=_HAPPENED_AT,
        causation=Causation(topic="api", partition=0, offset=0, received_at=_RECEIVED_AT),
        notification_id=UUID("0b86b1a1-58a2-5f0e-8a3d-7a8f6c9c1d2e"),
        teacher_id="teacher-0007",
    ),
}
