"""Messages that RAS writes to topics, as types: what `ras asyncapi` describes. Tests hold real messages against it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from typing_extensions import TypedDict

from domain.values import BatchStatus

Data = TypeVar("Data")
Phase = str
"""spellcheck, cj_assessment, or a phase that a later pipeline brings."""


class SystemMetadata(TypedDict):
    """Upstream's account of the work behind a message."""

    entity_id: str
    entity_type: Literal["batch"]
    parent_id: None
    timestamp: datetime
    processing_stage: Literal["completed", "failed", "cancelled"]
    started_at: None
    completed_at: datetime
    event: Literal["results_ready", "assessment_completed"]
    error_info: dict[str, Any]


class PhaseResult(TypedDict):
    """How one phase ended. The time is null where the facts do not show it."""

    phase_name: Phase
    status: Literal["completed", "completed_with_failures"]
    completed_count: int
    failed_count: int
    processing_time_seconds: float | None


class ResultsReady(TypedDict):
    """An outcome of a batch. `revision` in the envelope's metadata counts the outcomes."""

    event_name: Literal["batch.results.ready"]
    entity_id: str
    entity_type: Literal["batch"]
    parent_id: None
    timestamp: datetime
    status: BatchStatus
    system_metadata: SystemMetadata
    batch_id: str
    user_id: str
    total_essays: int
    completed_essays: int
    phase_results: dict[Phase, PhaseResult]
    overall_status: BatchStatus
    processing_duration_seconds: float


class RankedEssay(TypedDict):
    """One text of the batch; ranks count anchors, so they may have gaps. `score` is the Bradley-Terry score."""

    essay_id: str
    rank: int
    score: float
    letter_grade: str
    confidence_score: float
    confidence_label: str


class AssessmentCompleted(TypedDict):
    """The ranking of a batch by one judging job."""

    event_name: Literal["batch.assessment.completed"]
    entity_id: str
    entity_type: Literal["batch"]
    parent_id: None
    timestamp: datetime
    status: BatchStatus
    system_metadata: SystemMetadata
    batch_id: str
    user_id: str
    assessment_job_id: str
    rankings_summary: list[RankedEssay]


class TeacherNotificationRequested(TypedDict):
    """A teacher is to be notified. Other services write to this topic too: theirs have another `source_service`."""

    teacher_id: str
    notification_type: Literal["batch_results_ready", "batch_assessment_completed", "batch_status_updated"]
    category: Literal["processing_results", "batch_progress"]
    priority: Literal["high", "standard"]
    payload: dict[str, Any]
    action_required: Literal[False]
    deadline_timestamp: None
    correlation_id: str
    batch_id: str
    class_id: str | None
    timestamp: datetime


class DeadLetterNotice(TypedDict):
    """A message was put aside, and where it lies; its bytes stay in RAS."""

    stream_id: str
    stream_version: int
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    received_at: datetime


class SentMetadata(TypedDict, total=False):
    """The W3C trace context of the cause, and the revision of an outcome."""

    traceparent: str
    revision: int


class SentEnvelope(TypedDict, Generic[Data]):
    """What stands around every payload. `event_id` is the same on every retry: consumers know repeats by it."""

    event_id: str
    event_type: str
    event_timestamp: datetime
    source_service: Literal["result_aggregator_service"]
    schema_version: Literal[1]
    correlation_id: str
    data_schema_uri: None
    data: Data
    metadata: SentMetadata | None
