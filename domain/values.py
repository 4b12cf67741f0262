"""The values of the domain: phases, statuses, results, and what caused an event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from domain.immutable import immutable


class Phase(StrEnum):
    """The phases of which RAS sees a result for each essay."""

    SPELLCHECK = "spellcheck"
    CJ_ASSESSMENT = "cj_assessment"


PHASE_ORDER: Final = ("student_matching", "spellcheck", "nlp", "cj_assessment", "ai_feedback")
"""The order in which a pipeline runs its phases: an essay that failed one never reaches the next."""

DEFAULT_REQUIRED_PHASES: Final = (Phase.SPELLCHECK.value, Phase.CJ_ASSESSMENT.value)
"""What a batch needs while no pipeline message has said otherwise."""


def in_pipeline_order(phases: tuple[str, ...] | frozenset[str]) -> tuple[str, ...]:
    """Return `phases` once each, known ones as the pipeline runs them, unknown ones after, by name."""
    known = {phase: position for position, phase in enumerate(PHASE_ORDER)}
    return tuple(sorted(set(phases), key=lambda phase: (known.get(phase, len(known)), phase)))


class BatchStatus(StrEnum):
    """Upstream's batch statuses; the last four end a batch or a phase."""

    AWAITING_CONTENT_VALIDATION = "awaiting_content_validation"
    CONTENT_INGESTION_FAILED = "content_ingestion_failed"
    AWAITING_PIPELINE_CONFIGURATION = "awaiting_pipeline_configuration"
    READY_FOR_PIPELINE_EXECUTION = "ready_for_pipeline_execution"
    PROCESSING_PIPELINES = "processing_pipelines"
    AWAITING_STUDENT_VALIDATION = "awaiting_student_validation"
    STUDENT_VALIDATION_COMPLETED = "student_validation_completed"
    VALIDATION_TIMEOUT_PROCESSED = "validation_timeout_processed"
    COMPLETED_SUCCESSFULLY = "completed_successfully"
    COMPLETED_WITH_FAILURES = "completed_with_failures"
    FAILED_CRITICALLY = "failed_critically"
    CANCELLED = "cancelled"

    @property
    def stops_the_batch(self) -> bool:
        """Whether this status ends the batch whatever its essays say."""
        return self in _STOPPING

    @property
    def ends_a_phase(self) -> bool:
        """Whether a phase with this status is over."""
        return self in _ENDING

    @property
    def reports_results(self) -> bool:
        """Whether a phase outcome with this status reports results: it is over and did not stop its run."""
        return self in _ENDING and self not in _STOPPING


_STOPPING = frozenset({BatchStatus.FAILED_CRITICALLY, BatchStatus.CANCELLED})
_ENDING = _STOPPING | {BatchStatus.COMPLETED_SUCCESSFULLY, BatchStatus.COMPLETED_WITH_FAILURES}


ClientStatus = Literal[
    "pending_content",
    "ready",
    "processing",
    "completed_successfully",
    "completed_with_failures",
    "failed",
    "cancelled",
]
"""The statuses that clients see."""

CLIENT_STATUS: Final[Mapping[BatchStatus, ClientStatus]] = {
    BatchStatus.AWAITING_CONTENT_VALIDATION: "pending_content",
    BatchStatus.CONTENT_INGESTION_FAILED: "failed",
    BatchStatus.AWAITING_PIPELINE_CONFIGURATION: "pending_content",
    BatchStatus.READY_FOR_PIPELINE_EXECUTION: "ready",
    BatchStatus.PROCESSING_PIPELINES: "processing",
    BatchStatus.AWAITING_STUDENT_VALIDATION: "processing",
    BatchStatus.STUDENT_VALIDATION_COMPLETED: "processing",
    BatchStatus.VALIDATION_TIMEOUT_PROCESSED: "processing",
    BatchStatus.COMPLETED_SUCCESSFULLY: "completed_successfully",
    BatchStatus.COMPLETED_WITH_FAILURES: "completed_with_failures",
    BatchStatus.FAILED_CRITICALLY: "failed",
    BatchStatus.CANCELLED: "cancelled",
}
"""From the status that upstream's services use to the one that clients see."""


@immutable(kw_only=True)
class Causation:
    """The upstream message that made RAS record something.

    `received_at` is when RAS took the message in; an event's `happened_at` is upstream's time.
    """

    topic: str
    partition: int
    offset: int
    received_at: datetime
    event_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


@immutable(kw_only=True)
class SpellcheckMetrics:
    """Counts of one spellcheck; `correction_density` is corrections per 100 words."""

    total_corrections: int
    l2_dictionary_corrections: int
    spellchecker_corrections: int
    word_count: int
    correction_density: float


@immutable(kw_only=True)
class EssayResult:
    """One essay's comparative-judgement result as upstream published it.

    `bt_score` is in logits; `normalized_score` and `confidence_score` lie in [0, 1]; `rank` counts
    from 1 over students and anchors together, so the ranks of students alone have gaps.
    """

    essay_id: str
    rank: int
    bt_score: float
    normalized_score: float
    letter_grade: str
    confidence_score: float
    confidence_label: str
    is_anchor: bool = False
    display_name: str | None = None
    feedback_uri: str | None = None
    metrics_uri: str | None = None


@immutable(kw_only=True)
class Ranking:
    """One line of the ranking that RAS announces: students only, upstream's rank kept."""

    essay_id: str
    rank: int
    score: float
    letter_grade: str
    confidence_score: float
    confidence_label: str


@immutable(kw_only=True)
class PhaseResult:
    """How one phase ended: counts of expected essays that succeeded and failed in it.

    `processing_time_seconds` is the time that the phase took, None where the facts do not show it.
    """

    phase: str
    completed_count: int
    failed_count: int
    processing_time_seconds: float | None = None

    @property
    def status(self) -> str:
        """Return `completed`, or `completed_with_failures` when any essay failed here."""
        return "completed_with_failures" if self.failed_count else "completed"


Details = Mapping[str, Any]
"""Upstream's free-form JSON objects, kept as they came."""
