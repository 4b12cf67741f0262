"""What can happen to a batch. A stored version is never edited: add one, and an upcast."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from domain.aggregate import DomainEvent
from domain.immutable import immutable
from domain.values import BatchStatus, Details, EssayResult, PhaseResult, Ranking, SpellcheckMetrics


@immutable(kw_only=True, slots=False)
class BatchRegistered(DomainEvent):
    """A teacher's batch and the essays expected in it, in the teacher's order."""

    topic: ClassVar = "ras.batch.registered.v1"

    user_id: str
    essay_ids: tuple[str, ...]
    course_code: str
    class_id: str | None
    org_id: str | None
    student_prompt_ref: Details | None


@immutable(kw_only=True, slots=False)
class EssaySlotAssigned(DomainEvent):
    """An uploaded file took an essay's place in the batch."""

    topic: ClassVar = "ras.batch.essay-slot-assigned.v1"

    essay_id: str
    file_upload_id: str
    text_storage_id: str
    original_file_name: str


@immutable(kw_only=True, slots=False)
class EssaySpellchecked(DomainEvent):
    """An essay came through its spellcheck."""

    topic: ClassVar = "ras.batch.essay-spellchecked.v1"

    essay_id: str
    corrections_made: int
    metrics: SpellcheckMetrics
    original_text_storage_id: str
    corrected_text_storage_id: str | None
    processing_duration_ms: int
    processor_version: str


@immutable(kw_only=True, slots=False)
class EssaySpellcheckFailed(DomainEvent):
    """An essay failed its spellcheck; `error_info` is upstream's account of it."""

    topic: ClassVar = "ras.batch.essay-spellcheck-failed.v1"

    essay_id: str
    corrections_made: int
    error_info: Details


@immutable(kw_only=True, slots=False)
class PhaseConcluded(DomainEvent):
    """Upstream's word on a phase as a whole."""

    topic: ClassVar = "ras.batch.phase-concluded.v1"

    phase: str
    status: BatchStatus
    processed_count: int
    failed_essay_ids: tuple[str, ...]


@immutable(kw_only=True, slots=False)
class AssessmentCompleted(DomainEvent):
    """A comparative-judgement job ranked the batch; `happened_at` is upstream's `assessed_at`."""

    topic: ClassVar = "ras.batch.assessment-completed.v1"

    job_id: str
    assignment_id: str | None
    method: str
    model_used: str
    model_provider: str
    model_version: str | None
    results: tuple[EssayResult, ...]
    metadata: Details


@immutable(kw_only=True, slots=False)
class AssessmentFailed(DomainEvent):
    """A comparative-judgement job ended without ranking one student's essay."""

    topic: ClassVar = "ras.batch.assessment-failed.v1"

    job_id: str
    assignment_id: str | None
    metadata: Details


@immutable(kw_only=True, slots=False)
class PipelineCompleted(DomainEvent):
    """The orchestrator's last word: which phases ran. Its counts and status are not trusted."""

    topic: ClassVar = "ras.batch.pipeline-completed.v1"

    completed_phases: tuple[str, ...]
    final_status: BatchStatus
    processing_duration_seconds: float
    successful_essay_count: int
    failed_essay_count: int


@immutable(kw_only=True, slots=False)
class BatchResultsReady(DomainEvent):
    """Published: the batch is done. Announced once per outcome; `revision` counts the outcomes from 1.

    `phase_results` holds the phases that ran, `job_id` the newest judging job, `correlation_id` is that of the run
    that made the outcome. `failed_essays` is None where a release announced it that kept neither it nor these two.
    """

    topic: ClassVar = "ras.batch.results-ready.v2"

    user_id: str
    class_id: str | None
    revision: int
    overall_status: BatchStatus
    total_essays: int
    completed_essays: int
    failed_essays: int | None
    phase_results: tuple[PhaseResult, ...]
    job_id: str | None
    processing_duration_seconds: float
    correlation_id: str | None


@immutable(kw_only=True, slots=False)
class BatchAssessmentCompleted(DomainEvent):
    """Published: the batch is ranked. `rankings` holds the batch's own essays, anchors left out.

    `correlation_id` is that of the run in which the job was judged, None where no message named one.
    """

    topic: ClassVar = "ras.batch.assessment-announced.v2"

    user_id: str
    class_id: str | None
    job_id: str
    rankings: tuple[Ranking, ...]
    correlation_id: str | None


@immutable(kw_only=True, slots=False)
class BatchProgressed(DomainEvent):
    """Told to the teacher: how the batch stood when a fact had moved it on. It restates facts and decides nothing.

    `status` and `processing_phase` are those that the API shows, `revision` counts the outcomes announced by then,
    `completed_at` is the time of the last of them. `correlation_id` is that of the run that made an outcome announced
    with this step, else that of the message behind it.
    """

    topic: ClassVar = "ras.batch.progressed.v1"

    user_id: str
    class_id: str | None
    revision: int
    status: BatchStatus
    processing_phase: str | None
    total_essays: int
    completed_essays: int
    failed_essays: int
    completed_at: datetime | None
    correlation_id: str | None


@immutable(kw_only=True, slots=False)
class MessageParked(DomainEvent):
    """A message that our own code could not digest, or one that waits behind such a message.

    `fault` is the kind of our fault (`KeyError`), None where the message only waits; `reason` says it in words,
    which may repeat what the message holds. `key` and `value` are base64 of the raw bytes, so that the message
    can be taken in again unchanged.
    """

    topic: ClassVar = "ras.batch.message-parked.v2"

    fault: str | None
    reason: str
    key: str | None
    value: str | None
    headers: tuple[tuple[str, str], ...]


class DrainOutcome(StrEnum):
    """What became of a parked message in the end."""

    RECORDED = "recorded"
    REPEATED = "repeated"
    DEAD_LETTERED = "dead_lettered"


@immutable(kw_only=True, slots=False)
class MessageDrained(DomainEvent):
    """A parked message was taken in after all; the events it made stand right before this one.

    `parked_version` is the version of its MessageParked, `by` who drained it.
    """

    topic: ClassVar = "ras.batch.message-drained.v1"

    parked_version: int
    outcome: DrainOutcome
    by: str


PUBLISHED_EVENTS = (BatchResultsReady, BatchAssessmentCompleted)
"""What a batch announces: to other services, and to its teacher."""

NOTIFIED_EVENTS = (*PUBLISHED_EVENTS, BatchProgressed)
"""What a batch tells its teacher."""
