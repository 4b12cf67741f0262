"""What is known of a batch: the fold of its events. Nothing here decides, fails, or reads a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
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
from domain.completion import Outcome, Standing, Tally, completion_status, requirements
from domain.phase_times import judging_seconds
from domain.runs import Conclusion, Pipeline, Run, Runs, Stop
from domain.values import BatchStatus, EssayResult, Phase, Ranking

_ANCHOR_PREFIX: Final = "ANCHOR_"
_SEEN_BY_ESSAY: Final = frozenset(phase.value for phase in Phase)


def is_anchor(result: EssayResult) -> bool:
    """Whether `result` belongs to a calibration text and not to a student."""
    return result.is_anchor or is_anchor_id(result.essay_id)


def is_anchor_id(essay_id: str) -> bool:
    """Whether upstream names calibration texts so; a result may mark others besides."""
    return essay_id.startswith(_ANCHOR_PREFIX)


@dataclass(slots=True)
class Essay:
    """What decides about one essay: times to compare with, and the spellcheck's success and duration."""

    slot_assigned_at: datetime | None = None
    spellcheck_at: datetime | None = None
    spellchecked: bool | None = None
    spellcheck_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """Whose batch it is, and which essays are expected."""

    at: datetime
    user_id: str
    class_id: str | None
    essay_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Assessment:
    """The newest comparative-judgement result: the students' ranking, empty where the job failed.

    `run` is the correlation id of its message, `seconds` how long the job took, None where it does not report it.
    """

    at: datetime
    job_id: str
    rankings: tuple[Ranking, ...]
    run: Run
    seconds: float | None


class BatchState:
    """Everything the batch's decisions rest on, shaped for their questions."""

    def __init__(self) -> None:
        self.essays: dict[str, Essay] = {}
        self.registration: Registration | None = None
        self.runs = Runs()
        self.assessment: Assessment | None = None
        self.spellchecked_last: tuple[datetime, Run] | None = None
        self.spellchecked_essays = 0
        self.files = 0
        """Expected essays whose place a file has taken."""
        self.ended: frozenset[str] = frozenset()
        """The phases that are over, beside the spellcheck, whose results come one by one."""
        self.requirements = requirements({}, {}, spellchecked=False, ranked=None)
        self.tally = Tally()
        self.stopped: Stop | None = None
        self.announced: Outcome | None = None
        self.announced_at: datetime | None = None
        self.announced_ranking: tuple[str, tuple[Ranking, ...]] | None = None
        self.revision = 0
        self.parked_messages = 0

    @property
    def overall_status(self) -> BatchStatus | None:
        """How the batch ended, or None while it is unfinished or unregistered."""
        if self.registration is None:
            return None
        if self.stopped is not None:
            return self.stopped.status
        if self.tally.pending:
            return None
        return completion_status(
            self.tally,
            pipeline=self.runs.pipeline.final_status if self.runs.pipeline else None,
            phases={phase: conclusion.status for phase, conclusion in self.runs.conclusions.items()},
        )

    @property
    def has_results(self) -> bool:
        """Whether a phase has shown results, be it of essays that the registration does not name."""
        return (
            self.spellchecked_last is not None or self.assessment is not None or bool(self.runs.conclusions)
        )

    @property
    def outcome(self) -> Outcome | None:
        """What there is to announce, or None while the batch is unfinished or unregistered."""
        status = self.overall_status
        if status is None:
            return None
        results = self.tally.phase_results(self.requirements.phases)
        return Outcome.of(status, results, self.assessment.job_id if self.assessment else None)

    @property
    def author(self) -> Run:
        """The run that made the outcome, None if no message names one."""
        if self.stopped is not None:
            return self.stopped.run
        judged = self.assessment
        found = self.runs.author(judged.at if judged else None, judged.run if judged else None)
        return found if found or self.spellchecked_last is None else self.spellchecked_last[1]

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
        self.files = sum(self.essays[e].slot_assigned_at is not None for e in self.registration.essay_ids)
        self._count_again()

    def on_slot_assigned(self, event: EssaySlotAssigned) -> None:
        """Remember when, to know repeats."""
        essay = self._essay(event.essay_id)
        if (
            essay.slot_assigned_at is None
            and self.registration is not None
            and event.essay_id in self.registration.essay_ids
        ):
            self.files += 1
        essay.slot_assigned_at = event.happened_at

    def on_spellchecked(self, event: EssaySpellchecked | EssaySpellcheckFailed) -> None:
        """Recount the essay."""
        essay = self._essay(event.essay_id)
        success = isinstance(event, EssaySpellchecked)
        essay.spellcheck_at = event.happened_at
        essay.spellcheck_ms = event.processing_duration_ms if isinstance(event, EssaySpellchecked) else None
        if self.spellchecked_last is None or event.happened_at > self.spellchecked_last[0]:
            self.spellchecked_last = (event.happened_at, event.causation.correlation_id)
        before, essay.spellchecked = essay.spellchecked, success
        if self.registration is None or event.essay_id not in self.registration.essay_ids:
            return
        if before is None:
            self.spellchecked_essays += 1
            if self.spellchecked_essays == 1 and Phase.SPELLCHECK not in self.requirements.phases:
                self._count_again()  # the spellcheck's first result makes it a required phase
                return
        if before is not success:
            self.tally.count(self.requirements.standing(event.essay_id, spellchecked=before), -1)
            self.tally.count(self.requirements.standing(event.essay_id, spellchecked=success))

    def on_phase_concluded(self, event: PhaseConcluded) -> None:
        """Take the phase as over, or as stopped."""
        self.runs.conclude(event.phase, conclusion_of(event))
        self._count_again()

    def on_assessed(self, event: AssessmentCompleted) -> None:
        """Keep the students' lines of the ranking."""
        rankings = tuple(
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
        )
        self._assessed(event, rankings)

    def on_assessment_failed(self, event: AssessmentFailed) -> None:
        """Comparative judgement is over and ranked nobody."""
        self._assessed(event, ())

    def _assessed(self, event: AssessmentCompleted | AssessmentFailed, rankings: tuple[Ranking, ...]) -> None:
        self.assessment = Assessment(
            event.happened_at,
            event.job_id,
            rankings,
            event.causation.correlation_id,
            judging_seconds(event.metadata),
        )
        self._count_again()

    def on_pipeline_completed(self, event: PipelineCompleted) -> None:
        """Require the phases that it names, beside those named before."""
        self.runs.complete(pipeline_of(event), event.completed_phases)
        self._count_again()

    def on_ranking_announced(self, event: BatchAssessmentCompleted) -> None:
        """Remember what was announced, to announce it once."""
        self.announced_ranking = (event.job_id, event.rankings)

    def on_outcome_announced(self, event: BatchResultsReady) -> None:
        """Remember what was announced, to announce it once.

        An announcement of an early release does not name its job: it rests on the newest assessment before it.
        """
        job_id = event.job_id
        if event.failed_essays is None:
            job_id = self.assessment.job_id if self.assessment else None
        self.announced = Outcome.of(event.overall_status, event.phase_results, job_id)
        self.announced_at = event.happened_at
        self.revision = event.revision

    def on_progressed(self, _event: BatchProgressed) -> None:
        """Nothing: it restates what the facts before it have shown."""

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
        """Measure every expected essay again: a message about the whole batch changed the measure."""
        expected = self.registration.essay_ids if self.registration else ()
        self.spellchecked_essays = sum(self.essays[e].spellchecked is not None for e in expected)
        self.stopped = self.runs.stop
        self.requirements = requirements(
            self.runs.named,
            {phase: c.failed_essay_ids for phase, c in self.runs.outcomes.items()},
            spellchecked=self.spellchecked_essays > 0,
            ranked=frozenset(r.essay_id for r in self.assessment.rankings) if self.assessment else None,
        )
        over = {phase for phase in self.requirements.concluded if phase not in _SEEN_BY_ESSAY}
        self.ended = frozenset(over | ({Phase.CJ_ASSESSMENT.value} if self.assessment else set()))
        self.tally = Tally()
        standings: dict[Standing, int] = {}
        for essay_id in expected:
            standing = self.requirements.standing(essay_id, spellchecked=self.essays[essay_id].spellchecked)
            standings[standing] = standings.get(standing, 0) + 1
        for standing, count in standings.items():
            self.tally.count(standing, count)


def conclusion_of(event: PhaseConcluded) -> Conclusion:
    """Return the phase outcome that `event` recorded."""
    return Conclusion(
        event.causation.correlation_id,
        event.status,
        event.processed_count,
        event.failed_essay_ids,
        event.happened_at,
    )


def pipeline_of(event: PipelineCompleted) -> Pipeline:
    """Return the pipeline message that `event` recorded."""
    return Pipeline(event.causation.correlation_id, event.happened_at, event.final_status)


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
    BatchProgressed: BatchState.on_progressed,
    MessageParked: BatchState.on_parked,
    MessageDrained: BatchState.on_drained,
}
