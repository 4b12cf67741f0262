"""What can happen in a comparative-judgement job. A stored version is never edited: add one, and an upcast."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from domain.aggregate import DomainEvent
from domain.immutable import immutable
from domain.values import Details, EssayResult


class Side(StrEnum):
    """The place of an essay in the judge's question: the first or the second."""

    A = "essay_a"
    B = "essay_b"


@immutable(kw_only=True, slots=False)
class JudgeDecisionRecorded(DomainEvent):
    """A judge preferred one of two essays; `happened_at` is when the answer was complete.

    `judge` is the judge's own name where upstream gives one, else None: then provider and model name the
    judge. `confidence` lies between 1 and 5. `cost` is upstream's estimate in US dollars.
    """

    topic: ClassVar = "ras.assessment.judge-decision-recorded.v1"

    batch_id: str | None
    request_id: str
    essay_a_id: str
    essay_b_id: str
    winner: Side
    judge: str | None
    provider: str
    model: str
    justification: str | None
    confidence: float | None
    response_time_ms: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: float
    requested_at: datetime
    request_metadata: Details


@immutable(kw_only=True, slots=False)
class JudgeDecisionFailed(DomainEvent):
    """A judge was asked and gave no decision; `error` is upstream's account of it."""

    topic: ClassVar = "ras.assessment.judge-decision-failed.v1"

    batch_id: str | None
    request_id: str
    essay_a_id: str
    essay_b_id: str
    judge: str | None
    provider: str
    model: str
    error_code: str
    error: Details
    response_time_ms: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: float
    requested_at: datetime
    request_metadata: Details


@immutable(kw_only=True, slots=False)
class AssessmentResultRecorded(DomainEvent):
    """The job's result as upstream published it, anchors included; `happened_at` is its `assessed_at`."""

    topic: ClassVar = "ras.assessment.result-recorded.v1"

    batch_id: str
    assignment_id: str | None
    method: str
    model_used: str
    model_provider: str
    model_version: str | None
    results: tuple[EssayResult, ...]
    metadata: Details
