"""What happened to a batch, event by event, in plain words.

A sentence tells what an event says and nothing personal beyond ids: no file names, no upstream texts, no
details of a fault, any of which may hold a name. Lists are named up to a bound and counted beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from domain.aggregate import DomainEvent
from domain.batch_events import (
    AssessmentCompleted,
    AssessmentFailed,
    BatchAssessmentCompleted,
    BatchProgressed,
    BatchRegistered,
    BatchResultsReady,
    EssaySlotAssigned,
    EssaySpellchecked,
    EssaySpellcheckFailed,
    MessageDrained,
    MessageParked,
    PhaseConcluded,
    PipelineCompleted,
)
from domain.batch_state import is_anchor
from domain.values import BatchStatus
from domain.wording import counted

NAMED: Final = 10
"""How many ids of a list a sentence names."""

_IN_WORDS: Final = {
    BatchStatus.COMPLETED_SUCCESSFULLY: "completed successfully",
    BatchStatus.COMPLETED_WITH_FAILURES: "completed with failures",
    BatchStatus.FAILED_CRITICALLY: "failed critically",
    BatchStatus.CANCELLED: "cancelled",
}


def in_words(status: BatchStatus) -> str:
    """Return a status as it reads in a sentence."""
    return _IN_WORDS.get(status, status.value.replace("_", " "))


def listed(names: Iterable[str], count: int, *, most: int | None = NAMED) -> str:
    """Return `count` names as a list, those beyond the first `most` as a number."""
    shown = ", ".join(islice(names, most))
    return shown if most is None or count <= most else f"{shown} and {count - most:,} more"


def sentence_for(event: DomainEvent) -> str:
    """Return a sentence that says what `event` says."""
    sentence = _SENTENCES.get(type(event))
    return sentence(event) if sentence else f"An event of the kind {event.topic} was recorded."


def _registered(event: BatchRegistered) -> str:
    essays = counted(len(event.essay_ids), "essay")
    names = f": {listed(event.essay_ids, len(event.essay_ids))}" if event.essay_ids else ""
    return f"The batch was registered for {event.user_id} with {essays}{names}."


def _slot_assigned(event: EssaySlotAssigned) -> str:
    return f"The uploaded file {event.file_upload_id} took the place of essay {event.essay_id}."


def _spellchecked(event: EssaySpellchecked) -> str:
    return f"Essay {event.essay_id} came through its spellcheck with {counted(event.corrections_made, 'correction')}."


def _spellcheck_failed(event: EssaySpellcheckFailed) -> str:
    return f"Essay {event.essay_id} failed its spellcheck."


def _phase_concluded(event: PhaseConcluded) -> str:
    failed = len(event.failed_essay_ids)
    names = f": {listed(event.failed_essay_ids, failed)}" if failed else ""
    return (
        f"Upstream called the phase {event.phase} {in_words(event.status)}: "
        f"{counted(event.processed_count, 'essay')} processed, {failed:,} failed{names}."
    )


def _assessed(event: AssessmentCompleted) -> str:
    anchors = sum(is_anchor(result) for result in event.results)
    beside = f" and {counted(anchors, 'anchor')}" if anchors else ""
    return (
        f"The comparative-judgement job {event.job_id} ranked "
        f"{counted(len(event.results) - anchors, 'essay')}{beside}."
    )


def _assessment_failed(event: AssessmentFailed) -> str:
    return f"The comparative-judgement job {event.job_id} ended without ranking one student's essay."


def _pipeline_completed(event: PipelineCompleted) -> str:
    phases = ", ".join(event.completed_phases) or "no phase"
    return f"Upstream called the pipeline {in_words(event.final_status)}; it names {phases}."


def _ranking_announced(event: BatchAssessmentCompleted) -> str:
    return (
        f"RAS announced the ranking of {counted(len(event.rankings), 'essay')} by the job {event.job_id} "
        f"to {event.user_id}."
    )


def _results_announced(event: BatchResultsReady) -> str:
    return (
        f"RAS announced the results to {event.user_id}: {in_words(event.overall_status)}, "
        f"{event.completed_essays:,} of {counted(event.total_essays, 'essay')} done (revision {event.revision})."
    )


def _progressed(event: BatchProgressed) -> str:
    phase = f" in {event.processing_phase}" if event.processing_phase else ""
    return (
        f"RAS told {event.user_id} how the batch stands: {in_words(event.status)}{phase}, "
        f"{event.completed_essays:,} of {counted(event.total_essays, 'essay')} done, {event.failed_essays:,} failed."
    )


def _parked(event: MessageParked) -> str:
    waits = "an earlier one of this batch is parked"
    why = waits if event.fault is None else f"our own code failed on it ({event.fault})"
    return f"A message was parked: {why}."


def _drained(event: MessageDrained) -> str:
    return f"The message parked as event {event.parked_version} was taken in after all: {event.outcome.replace('_', ' ')}."


_SENTENCES: Final[dict[type[DomainEvent], Callable[[Any], str]]] = {
    BatchRegistered: _registered,
    EssaySlotAssigned: _slot_assigned,
    EssaySpellchecked: _spellchecked,
    EssaySpellcheckFailed: _spellcheck_failed,
    PhaseConcluded: _phase_concluded,
    AssessmentCompleted: _assessed,
    AssessmentFailed: _assessment_failed,
    PipelineCompleted: _pipeline_completed,
    BatchAssessmentCompleted: _ranking_announced,
    BatchResultsReady: _results_announced,
    BatchProgressed: _progressed,
    MessageParked: _parked,
    MessageDrained: _drained,
}
