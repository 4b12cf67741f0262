"""The batch: what upstream has reported of it, and what RAS announces when it is done.

Theory of operation. Messages come from six topics in any order, some twice, some late. Each command
compares the message with what is known: a repeat or an older message changes nothing and triggers
nothing; a newer one is recorded as a fact. After each fact the batch asks itself two questions, which
are functions of its state alone and not of how it got there: is there a ranking to announce, and is
there an outcome to announce? Whichever message makes the answer yes triggers the announcement. An
announcement is repeated only when its content (the ranking) or its outcome (status, phases, judging job)
has changed. What a teacher's list shows of the batch is noted after it (`progress.py`), where that is switched on.

Facts with a time supersede by that time: the newer wins, and at the same time the first wins. A phase
outcome has no time of its own; which of two wins is decided by the runs they are of (`runs.py`). Pipeline
messages add up: a later one names only the phases of its own run.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from domain.aggregate import DomainEvent
from domain.announcing import outcome_due, ranking_due
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
    PhaseConcluded,
    PipelineCompleted,
)
from domain.batch_state import BatchState, is_anchor
from domain.parking import ParkableStream
from domain.progress import Progress, progress_of, standing_now
from domain.runs import Conclusion, Pipeline
from domain.values import BatchStatus, Causation, Details, EssayResult, SpellcheckMetrics

BATCH_STREAMS: Final = "batch-"
"""How the ids of these streams begin."""


def batch_stream_id(batch_id: str) -> str:
    """Return the id of the stream in which the batch `batch_id` is recorded."""
    return BATCH_STREAMS + batch_id


def batch_id_of(stream_id: str) -> str:
    """Return the batch whose stream `stream_id` is."""
    return stream_id.removeprefix(BATCH_STREAMS)


class BatchAggregate(ParkableStream):
    """One batch of essays. Commands take upstream's time of the fact and the message that told it."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(stream_id)
        self._state = BatchState()

    # What readers may ask.

    @property
    def is_registered(self) -> bool:
        """Whether the teacher and the expected essays are known."""
        return self._state.registration is not None

    @property
    def is_parked(self) -> bool:
        """Whether messages wait here for a fix of our own code."""
        return self._state.parked_messages > 0

    @property
    def overall_status(self) -> BatchStatus | None:
        """How the batch ended, or None while it is unfinished or unregistered."""
        return self._state.overall_status

    @property
    def counts(self) -> tuple[int, int, int]:
        """Expected essays in all, those done in every required phase, those that failed in one."""
        return self._state.tally.counts

    @property
    def progress(self) -> Progress:
        """How far the batch is; hold it against what comes later with `note_progress`."""
        return progress_of(self._state)

    @property
    def size(self) -> int:
        """How many essays the aggregate holds in memory, expected or not."""
        return len(self._state.essays)

    # Commands: each checks, then triggers, or does nothing for a repeat or an older statement.

    def register(
        self,
        *,
        user_id: str,
        essay_ids: tuple[str, ...],
        course_code: str,
        class_id: str | None,
        org_id: str | None,
        student_prompt_ref: Details | None,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take the registration of the batch: its teacher and the essays to expect."""
        if self._state.registration is not None and happened_at <= self._state.registration.at:
            return
        self.trigger_event(
            BatchRegistered,
            user_id=user_id,
            essay_ids=tuple(dict.fromkeys(essay_ids)),
            course_code=course_code,
            class_id=class_id,
            org_id=org_id,
            student_prompt_ref=student_prompt_ref,
            happened_at=happened_at,
            causation=causation,
        )
        self.announce(causation)

    def assign_slot(
        self,
        *,
        essay_id: str,
        file_upload_id: str,
        text_storage_id: str,
        original_file_name: str,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take the file that fills an essay's place. It decides nothing about the batch."""
        essay = self._state.essays.get(essay_id)
        if essay is not None and essay.slot_assigned_at is not None and happened_at <= essay.slot_assigned_at:
            return
        self.trigger_event(
            EssaySlotAssigned,
            essay_id=essay_id,
            file_upload_id=file_upload_id,
            text_storage_id=text_storage_id,
            original_file_name=original_file_name,
            happened_at=happened_at,
            causation=causation,
        )

    def record_spellcheck(
        self,
        *,
        essay_id: str,
        corrections_made: int,
        metrics: SpellcheckMetrics,
        original_text_storage_id: str,
        corrected_text_storage_id: str | None,
        processing_duration_ms: int,
        processor_version: str,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take a successful spellcheck of one essay."""
        if not self._supersedes_spellcheck(essay_id, happened_at):
            return
        self.trigger_event(
            EssaySpellchecked,
            essay_id=essay_id,
            corrections_made=corrections_made,
            metrics=metrics,
            original_text_storage_id=original_text_storage_id,
            corrected_text_storage_id=corrected_text_storage_id,
            processing_duration_ms=processing_duration_ms,
            processor_version=processor_version,
            happened_at=happened_at,
            causation=causation,
        )
        self.announce(causation)

    def record_spellcheck_failure(
        self,
        *,
        essay_id: str,
        corrections_made: int,
        error_info: Details,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take a failed spellcheck of one essay."""
        if not self._supersedes_spellcheck(essay_id, happened_at):
            return
        self.trigger_event(
            EssaySpellcheckFailed,
            essay_id=essay_id,
            corrections_made=corrections_made,
            error_info=error_info,
            happened_at=happened_at,
            causation=causation,
        )
        self.announce(causation)

    def conclude_phase(
        self,
        *,
        phase: str,
        status: BatchStatus,
        processed_count: int,
        failed_essay_ids: tuple[str, ...],
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take upstream's word on a phase as a whole."""
        failed = tuple(sorted(set(failed_essay_ids)))
        outcome = Conclusion(causation.correlation_id, status, processed_count, failed, happened_at)
        if not self._state.runs.replaces(phase, outcome):
            return
        self.trigger_event(
            PhaseConcluded,
            phase=phase,
            status=status,
            processed_count=processed_count,
            failed_essay_ids=failed,
            happened_at=happened_at,
            causation=causation,
        )
        self.announce(causation)

    def record_assessment(
        self,
        *,
        job_id: str,
        assignment_id: str | None,
        method: str,
        model_used: str,
        model_provider: str,
        model_version: str | None,
        results: tuple[EssayResult, ...],
        metadata: Details,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take a comparative-judgement result; it ends that phase for every expected essay."""
        if self._state.assessment is not None and happened_at <= self._state.assessment.at:
            return
        if all(is_anchor(result) for result in results):
            self.trigger_event(
                AssessmentFailed,
                job_id=job_id,
                assignment_id=assignment_id,
                metadata=metadata,
                happened_at=happened_at,
                causation=causation,
            )
        else:
            self.trigger_event(
                AssessmentCompleted,
                job_id=job_id,
                assignment_id=assignment_id,
                method=method,
                model_used=model_used,
                model_provider=model_provider,
                model_version=model_version,
                results=results,
                metadata=metadata,
                happened_at=happened_at,
                causation=causation,
            )
        self.announce(causation)

    def complete_pipeline(
        self,
        *,
        completed_phases: tuple[str, ...],
        final_status: BatchStatus,
        processing_duration_seconds: float,
        successful_essay_count: int,
        failed_essay_count: int,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take the orchestrator's last word: which phases this batch was to go through."""
        message = Pipeline(causation.correlation_id, happened_at, final_status)
        if not self._state.runs.is_news(message, completed_phases):
            return
        self.trigger_event(
            PipelineCompleted,
            completed_phases=completed_phases,
            final_status=final_status,
            processing_duration_seconds=processing_duration_seconds,
            successful_essay_count=successful_essay_count,
            failed_essay_count=failed_essay_count,
            happened_at=happened_at,
            causation=causation,
        )
        self.announce(causation)

    # Announcements.

    def announce(self, causation: Causation) -> None:
        """Announce what the facts so far call for and was not announced; nothing when all was.

        Every command that changes the answer ends so. A check that replays the facts asks the same here.
        """
        self.announce_ranking(causation)
        if (outcome := outcome_due(self._state)) is not None:
            self.trigger_event(BatchResultsReady, causation=causation, **outcome)

    def announce_ranking(self, causation: Causation) -> None:
        """Announce the ranking alone, if it is due."""
        if (ranking := ranking_due(self._state)) is not None:
            self.trigger_event(BatchAssessmentCompleted, causation=causation, **ranking)

    def note_progress(self, before: Progress, *, happened_at: datetime, causation: Causation) -> None:
        """Record how the batch stands if what happened since `before` moved it on.

        Ask it after each message, with the message's time and the progress before it.
        """
        now = self.progress
        if not now.goes_beyond(before):
            return
        run = self._state.author if now.revision > before.revision else None
        self.trigger_event(
            BatchProgressed,
            **standing_now(self._state),
            correlation_id=run or causation.correlation_id,
            happened_at=happened_at,
            causation=causation,
        )

    def _supersedes_spellcheck(self, essay_id: str, happened_at: datetime) -> bool:
        essay = self._state.essays.get(essay_id)
        return essay is None or essay.spellcheck_at is None or happened_at > essay.spellcheck_at

    def _evolve(self, event: DomainEvent) -> None:
        self._state.evolve(event)
