"""What is known of a batch: the fold of its events. Nothing here decides, fails, or reads a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypedDict

from domain.aggregate import DomainEvent
from domain.batch_events import (
    AssessmentCompleted,
    AssessmentFailed,
    BatchAssessmentCompleted,
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
from domain.completion import (
    Requirements,
    Standing,
    Tally,
    completion_status,
    required_phases,
    stopping_status,
)
from domain.values import BatchStatus, EssayResult, Phase, Ranking

_ANCHOR_PREFIX: Final = "ANCHOR_"
_SEEN_BY_ESSAY: Final = frozenset(phase.value for phase in Phase)
_GRAVITY: Final = {
    BatchStatus.COMPLETED_SUCCESSFULLY: 1,
    BatchStatus.COMPLETED_WITH_FAILURES: 2,
    BatchStatus.CANCELLED: 3,
    BatchStatus.FAILED_CRITICALLY: 4,
}


def is_anchor(result: EssayResult) -> bool:
    """Whether `result` belongs to a calibration text and not to a student."""
    return result.is_anchor or is_anchor_id(result.essay_id)


def is_anchor_id(essay_id: str) -> bool:
    """Whether upstream names calibration texts so; a result may mark others besides."""
    return essay_id.startswith(_ANCHOR_PREFIX)


@dataclass(slots=True)
class Essay:
    """What decides about one essay: times to compare with, and the spellcheck's success."""

    slot_assigned_at: datetime | None = None
    spellcheck_at: datetime | None = None
    spellchecked: bool | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """Whose batch it is, and which essays are expected."""

    at: datetime
    user_id: str
    class_id: str | None
    essay_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A phase outcome. `weight` orders any two by gravity, then by content: one of them wins."""

    status: BatchStatus
    processed_count: int
    failed_essay_ids: tuple[str, ...]
    at: datetime

    @property
    def weight(self) -> tuple[int, str, int, tuple[str, ...]]:
        """The place of this outcome among all possible ones; its time of sending plays no part."""
        return (_GRAVITY.get(self.status, 0), self.status, self.processed_count, self.failed_essay_ids)


@dataclass(frozen=True, slots=True)
class Assessment:
    """The newest comparative-judgement result: the students' ranking, empty where the job failed."""

    at: datetime
    job_id: str
    rankings: tuple[Ranking, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The newest pipeline message: what the batch was to go through."""

    at: datetime
    completed_phases: tuple[str, ...]
    final_status: BatchStatus


class _UpstreamsWord(TypedDict):
    pipeline: BatchStatus | None
    phases: dict[str, BatchStatus]


class BatchState:
    """Everything the batch's decisions rest on, shaped for their questions."""

    def __init__(self) -> None:
        self.essays: dict[str, Essay] = {}
        self.registration: Registration | None = None
        self.conclusions: dict[str, Conclusion] = {}
        self.assessment: Assessment | None = None
        self.pipeline: Pipeline | None = None
        self.requirements = Requirements(required_phases(None), None, frozenset(), {})
        self.tally = Tally()
        self.stopped_as: BatchStatus | None = None
        self.announced_status: BatchStatus | None = None
        self.announced_ranking: tuple[str, tuple[Ranking, ...]] | None = None
        self.revision = 0
        self.parked_messages = 0

    @property
    def overall_status(self) -> BatchStatus | None:
        """How the batch ended, or None while it is unfinished or unregistered."""
        if self.registration is None:
            return None
        if self.stopped_as is not None or self.tally.pending:
            return self.stopped_as
        return completion_status(self.tally, **self._upstreams_word())

    def ended_at(self, registration: Registration, status: BatchStatus) -> datetime:
        """Return the time of the last fact that the outcome rests on, never the time of arrival."""
        essays = self.essays
        times = [registration.at]
        times += [at for e in registration.essay_ids if (at := essays[e].spellcheck_at) is not None]
        if self.assessment is not None:
            times.append(self.assessment.at)
        times += [c.at for phase, c in self.conclusions.items() if phase not in _SEEN_BY_ESSAY]
        if status.stops_the_batch:
            times += [c.at for c in self.conclusions.values() if c.status is status]
            if self.pipeline is not None:
                times.append(self.pipeline.at)
        return max(times)

    def evolve(self, event: DomainEvent) -> None:
        """Take over one event."""
        _EVOLVE[type(event)](self, event)

    def on_registered(self, event: BatchRegistered) -> None:
        """Expect the essays of the newest registration."""
        self.registration = Registration(
            event.happened_at, event.user_id, event.class_id, frozenset(event.essay_ids)
        )
        for essay_id in event.essay_ids:
            self.essays.setdefault(essay_id, Essay())
        self._count_again()

    def on_slot_assigned(self, event: EssaySlotAssigned) -> None:
        """Remember when, to know repeats."""
        self._essay(event.essay_id).slot_assigned_at = event.happened_at

    def on_spellchecked(self, event: EssaySpellchecked | EssaySpellcheckFailed) -> None:
        """Count the essay anew."""
        essay = self._essay(event.essay_id)
        success = isinstance(event, EssaySpellchecked)
        essay.spellcheck_at = event.happened_at
        before, essay.spellchecked = essay.spellchecked, success
        expected = self.registration is not None and event.essay_id in self.registration.essay_ids
        if expected and before is not success:
            self.tally.count(self.requirements.standing(event.essay_id, spellchecked=before), -1)
            self.tally.count(self.requirements.standing(event.essay_id, spellchecked=success))

    def on_phase_concluded(self, event: PhaseConcluded) -> None:
        """Take the phase as over, or as stopped."""
        self.conclusions[event.phase] = Conclusion(
            event.status, event.processed_count, event.failed_essay_ids, event.happened_at
        )
        self._count_again()

    def on_assessed(self, event: AssessmentCompleted) -> None:
        """Keep the students' lines of the ranking."""
        self.assessment = Assessment(
            event.happened_at,
            event.job_id,
            tuple(
                Ranking(
                    essay_id=result.essay_id,
                    rank=result.rank,
                    score=result.bt_score,
                    letter_grade=result.letter_grade,
                    confidence_score=result.confidence_score,
                    confidence_label=result.confidence_label,
                )
                for result in event.results
                if not is_anchor(result)
            ),
        )
        self._count_again()

    def on_assessment_failed(self, event: AssessmentFailed) -> None:
        """Comparative judgement is over and ranked nobody."""
        self.assessment = Assessment(event.happened_at, event.job_id, ())
        self._count_again()

    def on_pipeline_completed(self, event: PipelineCompleted) -> None:
        """The phases it names are the ones required."""
        self.pipeline = Pipeline(event.happened_at, event.completed_phases, event.final_status)
        self._count_again()

    def on_ranking_announced(self, event: BatchAssessmentCompleted) -> None:
        """Remember what was said, to say it once."""
        self.announced_ranking = (event.job_id, event.rankings)

    def on_outcome_announced(self, event: BatchResultsReady) -> None:
        """Remember what was said, to say it once."""
        self.announced_status = event.overall_status
        self.revision = event.revision

    def on_parked(self, _event: MessageParked) -> None:
        """One more message waits."""
        self.parked_messages += 1

    def on_drained(self, _event: MessageDrained) -> None:
        """One message less waits."""
        self.parked_messages -= 1

    def _essay(self, essay_id: str) -> Essay:
        essay = self.essays.get(essay_id)
        if essay is None:
            essay = self.essays[essay_id] = Essay()
        return essay

    def _count_again(self) -> None:
        """Measure every expected essay anew: a message about the whole batch changed the measure."""
        named = self.pipeline.completed_phases if self.pipeline else ()
        concluded = {phase for phase, c in self.conclusions.items() if c.status.ends_a_phase}
        self.requirements = Requirements(
            phases=required_phases(named),
            ranked=frozenset(r.essay_id for r in self.assessment.rankings) if self.assessment else None,
            concluded=frozenset(concluded.union(named)),
            failed_in={
                phase: frozenset(c.failed_essay_ids)
                for phase, c in self.conclusions.items()
                if c.failed_essay_ids
            },
        )
        self.stopped_as = stopping_status(**self._upstreams_word())
        self.tally = Tally()
        if self.registration is None:
            return
        standings: dict[Standing, int] = {}
        for essay_id in self.registration.essay_ids:
            standing = self.requirements.standing(essay_id, spellchecked=self.essays[essay_id].spellchecked)
            standings[standing] = standings.get(standing, 0) + 1
        for standing, count in standings.items():
            self.tally.count(standing, count)

    def _upstreams_word(self) -> _UpstreamsWord:
        return {
            "pipeline": self.pipeline.final_status if self.pipeline else None,
            "phases": {phase: conclusion.status for phase, conclusion in self.conclusions.items()},
        }


_EVOLVE: Final[dict[type[DomainEvent], Callable[[BatchState, Any], None]]] = {
    BatchRegistered: BatchState.on_registered,
    EssaySlotAssigned: BatchState.on_slot_assigned,
    EssaySpellchecked: BatchState.on_spellchecked,
    EssaySpellcheckFailed: BatchState.on_spellchecked,
    PhaseConcluded: BatchState.on_phase_concluded,
    AssessmentCompleted: BatchState.on_assessed,
    AssessmentFailed: BatchState.on_assessment_failed,
    PipelineCompleted: BatchState.on_pipeline_completed,
    BatchAssessmentCompleted: BatchState.on_ranking_announced,
    BatchResultsReady: BatchState.on_outcome_announced,
    MessageParked: BatchState.on_parked,
    MessageDrained: BatchState.on_drained,
}
