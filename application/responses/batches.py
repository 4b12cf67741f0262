"""Responses about batches and essays, with the names that upstream's clients know."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from application.responses.kinds import Count, FreeObject, Stage
from application.responses.language import (
    CjRanking,
    GrammarAnalysis,
    NlpMetrics,
    SpellingError,
)
from domain.values import ClientStatus

ShownPhase = Literal["spellcheck", "cj_assessment", "nlp", "ai_feedback"]
"""A phase in which a batch can be; of the last two only the orchestrator tells."""


class EssayResult(TypedDict):
    """An essay in its batch's answer."""

    essay_id: str
    filename: str | None
    file_upload_id: str | None
    spellcheck_status: Stage | None
    spellcheck_correction_count: Count | None
    spellcheck_corrected_text_storage_id: str | None
    spellcheck_error_detail: FreeObject | None
    cj_assessment_status: Stage | None
    cj_rank: Count | None
    cj_score: float | None
    cj_assessment_error_detail: FreeObject | None
    last_updated: datetime


@with_config(extra="allow")
class Assessment(TypedDict):
    """The assessment app's summary of the batch; for an essay, of each job only its part"""

    available: Literal[True]
    batch_id: str
    jobs: list[FreeObject]


class AssessmentUnavailable(TypedDict):
    """Why there is no summary of the assessment app."""

    available: Literal[False]
    reason: Annotated[str, Field(description="A sentence for people")]


class BatchStatus(TypedDict):
    """The status of a batch."""

    batch_id: str
    user_id: str
    assignment_id: str | None
    overall_status: ClientStatus
    essay_count: Count
    completed_essay_count: Count
    failed_essay_count: Count
    requested_pipeline: str | None
    current_phase: ShownPhase | None
    essays: list[EssayResult]
    created_at: datetime
    last_updated: datetime
    processing_started_at: datetime | None
    processing_completed_at: datetime | None
    student_prompt_ref: FreeObject | None
    assessment: NotRequired[Assessment | AssessmentUnavailable]


class _Pagination(TypedDict):
    limit: Count
    offset: Count
    total: Count
    next_cursor: str | None


class UserBatches(TypedDict):
    """A page of batches, newest first."""

    batches: list[BatchStatus]
    pagination: _Pagination


class _File(TypedDict):
    filename: str | None
    file_upload_id: str | None
    text_storage_id: str | None


class _Spellcheck(TypedDict):
    status: Stage | None
    correction_count: Count | None
    corrected_text_storage_id: str | None
    metrics: FreeObject | None
    error_detail: FreeObject | None
    checked_at: datetime | None


class _CjAssessment(TypedDict):
    status: Stage | None
    job_id: str | None
    rank: Count | None
    ranked_essays: Count
    bt_score: float | None
    normalized_score: float | None
    letter_grade: str | None
    confidence_score: float | None
    confidence_label: str | None
    assessed_at: datetime | None


class EssayInBatch(TypedDict):
    """An essay in one of its batches."""

    essay_id: str
    batch_id: str
    user_id: str
    class_id: str | None
    course_code: str | None
    assignment_id: str | None
    batch_status: ClientStatus
    essay_status: Literal["pending", "completed", "failed"]
    file: _File
    spellcheck: _Spellcheck
    cj_assessment: _CjAssessment
    last_updated: datetime


class FeedbackMembers(TypedDict):
    """An essay under the names of upstream's decision on AI feedback."""

    owner_user_id: str
    corrected_text_storage_id: str | None
    original_text_storage_id: str | None
    student_prompt_ref: FreeObject | None
    word_count: Annotated[Count | None, Field(description="By the language analysis, else by the spellcheck")]
    nlp_metrics: NlpMetrics | None
    grammar_analysis: GrammarAnalysis | None
    spelling_errors: Annotated[
        list[SpellingError],
        Field(description="The first 100. The spellcheck reports counts alone: `spellcheck`"),
    ]
    cj_ranking: CjRanking | None


class EssayAnalysis(EssayInBatch, FeedbackMembers):
    """Everything known of an essay, in one of its batches."""

    assessment: NotRequired[Assessment | AssessmentUnavailable]
