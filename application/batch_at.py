"""How a batch stood at some time: its events up to then, folded into the status route's response.

The status route answers from the read model; this answers the same from the events themselves, up to any
time. Which facts a row of the answer shows is restated here, what follows from them is not: that is
`BatchState` and the completion rules. A property test holds the two answers equal where all events count.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from domain.aggregate import DomainEvent
from domain.announcing import outcome_due
from domain.batch import batch_id_of
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
)
from domain.batch_state import BatchState, is_anchor
from domain.batch_status import batch_status
from domain.error_details import missing_assessment, spellcheck_error
from domain.file_names import shown_name
from domain.values import BatchStatus, EssayResult

_RESULTS: Final = (
    EssaySpellchecked,
    EssaySpellcheckFailed,
    PhaseConcluded,
    AssessmentCompleted,
    AssessmentFailed,
)
_SHOWN_NOWHERE: Final = (BatchAssessmentCompleted, BatchProgressed, MessageParked, MessageDrained)


class BatchAt:
    """A batch as the events that were taken describe it."""

    def __init__(self, events: Iterable[DomainEvent] = ()) -> None:
        self._state = BatchState()
        self._registration: BatchRegistered | None = None
        self._slots: dict[str, EssaySlotAssigned] = {}
        self._spellchecks: dict[str, EssaySpellchecked | EssaySpellcheckFailed] = {}
        self._assessment: AssessmentCompleted | AssessmentFailed | None = None
        self._ranking: dict[str, EssayResult] = {}
        self._outcome: BatchResultsReady | None = None
        self._essays_changed_at: dict[str, datetime] = {}
        self._changed_at = datetime.min.replace(tzinfo=UTC)
        self._started_at: datetime | None = None
        for event in events:
            self.take(event)

    def take(self, event: DomainEvent) -> None:
        """Fold the next event in."""
        self._state.evolve(event)
        if isinstance(event, _SHOWN_NOWHERE):
            return
        at = event.happened_at
        self._changed_at = max(self._changed_at, at)
        if isinstance(event, _RESULTS):
            self._started_at = min(self._started_at or at, at)
        match event:
            case BatchRegistered():
                self._registration = event
                for essay_id in event.essay_ids:
                    self._touch(essay_id, at)
            case EssaySlotAssigned():
                self._slots[event.essay_id] = event
                self._touch(event.essay_id, at)
            case EssaySpellchecked() | EssaySpellcheckFailed():
                self._spellchecks[event.essay_id] = event
                self._touch(event.essay_id, at)
            case AssessmentCompleted():
                self._assessment = event
                # Of two lines for one essay the last stands, as in the read model.
                self._ranking = {line.essay_id: line for line in event.results if not is_anchor(line)}
            case AssessmentFailed():
                self._assessment, self._ranking = event, {}
            case BatchResultsReady():
                self._outcome = event

    @property
    def state(self) -> BatchState:
        """What the batch's decisions rest on."""
        return self._state

    @property
    def expected(self) -> tuple[str, ...]:
        """The essays of the registration, in its order."""
        return self._registration.essay_ids if self._registration else ()

    def row(self, *, announced_only: bool) -> dict[str, Any] | None:
        """Return the answer's facts, named as the read model names them; None while it is not registered.

        Where the events are not a stretch of the stream from its beginning, the announcements among them
        say less than the facts among them do: without `announced_only` the outcome follows from the facts.
        """
        registration = self._registration
        if registration is None:
            return None
        status, ended_at = self._ended(announced_only=announced_only)
        essays = [self._essay(essay_id) for essay_id in registration.essay_ids]
        _, completed, failed = self._state.tally.counts
        return {
            "batch_id": batch_id_of(registration.originator_id),
            "user_id": registration.user_id,
            "assignment_id": self._assessment.assignment_id if self._assessment else None,
            "assessed_at": self._assessment.happened_at if self._assessment else None,
            "status": batch_status(
                status,
                has_results=self._started_at is not None,
                has_all_files=bool(essays) and all(essay["file_upload_id"] is not None for essay in essays),
            ),
            "total": len(essays),
            "completed": completed,
            "failed": failed,
            "spellchecked": sum(essay["spellcheck_status"] is not None for essay in essays),
            "required": self._state.requirements.phases,
            "essays": essays,
            "registered_at": registration.happened_at,
            "last_updated": self._changed_at,
            "processing_started_at": self._started_at,
            "ended_at": ended_at,
            "student_prompt_ref": registration.student_prompt_ref,
        }

    def _touch(self, essay_id: str, at: datetime) -> None:
        self._essays_changed_at[essay_id] = max(self._essays_changed_at.get(essay_id, at), at)

    def _ended(self, *, announced_only: bool) -> tuple[BatchStatus | None, datetime | None]:
        announced = self._outcome.overall_status if self._outcome else None
        found = self._state.overall_status
        if announced_only or found is None or found is announced:
            return announced, self._outcome.happened_at if self._outcome else None
        due = outcome_due(self._state)
        assert due is not None, "a status that was not announced is due"
        return found, due["happened_at"]

    def _essay(self, essay_id: str) -> dict[str, Any]:
        slot, check = self._slots.get(essay_id), self._spellchecks.get(essay_id)
        passed = check if isinstance(check, EssaySpellchecked) else None
        failed = check if isinstance(check, EssaySpellcheckFailed) else None
        line = self._ranking.get(essay_id)
        judged = self._judged(essay_id, spellchecked=None if check is None else passed is not None)
        changed_at = self._essays_changed_at[essay_id]
        error = None
        if self._assessment is not None:
            if line is not None:
                changed_at = max(changed_at, self._assessment.happened_at)
            if judged == "failed":
                error = missing_assessment(self._assessment.job_id, self._assessment.happened_at)
        return {
            "essay_id": essay_id,
            "filename": shown_name(slot.original_file_name) if slot else None,
            "file_upload_id": slot.file_upload_id if slot else None,
            "spellcheck_status": "completed" if passed else "failed" if failed else None,
            "spellcheck_correction_count": check.corrections_made if check else None,
            "spellcheck_corrected_text_storage_id": passed.corrected_text_storage_id if passed else None,
            "spellcheck_error_detail": spellcheck_error(failed) if failed else None,
            "cj_assessment_status": judged,
            "cj_rank": line.rank if line else None,
            "cj_score": line.bt_score if line else None,
            "cj_assessment_error_detail": error,
            "last_updated": changed_at,
        }

    def _judged(self, essay_id: str, *, spellchecked: bool | None) -> str | None:
        judgement = self._state.requirements.judgement(essay_id, spellchecked=spellchecked)
        return None if judgement is None else "completed" if judgement else "failed"
