"""A tiny vocabulary for tests of the batch: given these messages, when one more comes, then these facts.

A message here is what upstream says, without wire format: who is registered, what an essay's spellcheck
gave. `given` plays messages on one aggregate and rebuilds a second one from what the first recorded, so
each test of a command is a test of replay too. `then` names every fact recorded, in order, each with
the fields that matter to the test; `then()` says that nothing happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate
from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.values import BatchStatus, Causation, Details, EssayResult, SpellcheckMetrics

STREAM: Final = "batch-b1"
TEACHER: Final = "teacher-0007"
_START: Final = datetime(2026, 3, 7, 8, tzinfo=UTC)


def minute(number: int) -> datetime:
    """Return upstream's time `number` minutes after the story begins."""
    return _START + timedelta(minutes=number)


def caused_by(offset: int, run: str | None = None) -> Causation:
    """Return the causation of the message at `offset` of a pipeline run; a repeat of a message has another."""
    return Causation(
        topic="upstream",
        partition=0,
        offset=offset,
        received_at=minute(600),
        event_id=f"event-{offset}",
        correlation_id=run,
    )


@dataclass(frozen=True)
class Message:
    """Something upstream says of the batch; `at` is its own time, not the time of sending.

    `run` is the correlation id of the pipeline run that it belongs to.
    """

    _: KW_ONLY
    at: datetime
    run: str | None = None

    def tell(self, batch: BatchAggregate, causation: Causation) -> None:
        """Give the message's command to `batch`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Registered(Message):
    """The teacher's batch and its essays."""

    essay_ids: tuple[str, ...]
    user_id: str = TEACHER
    class_id: str | None = None
    org_id: str | None = None
    course_code: str = "ENG5"

    def tell(self, batch: BatchAggregate, causation: Causation) -> None:
        batch.register(
            user_id=self.user_id,
            essay_ids=self.essay_ids,
            course_code=self.course_code,
            class_id=self.class_id,
            org_id=self.org_id,
            student_prompt_ref=None,
            happened_at=self.at,
            causation=causation,
        )


@dataclass(frozen=True)
class SlotAssigned(Message):
    """A file for an essay."""

    essay_id: str
    file_name: str = "essay-01.docx"
    text_id: str = "text-1"

    def tell(self, batch: BatchAggregate, causation: Causation) -> None:
        batch.assign_slot(
            essay_id=self.essay_id,
            file_upload_id="upload-1",
            text_storage_id=self.text_id,
            original_file_name=self.file_name,
            happened_at=self.at,
            causation=causation,
        )


@dataclass(frozen=True)
class Spellchecked(Message):
    """How an essay's spellcheck ended."""

    essay_id: str
    succeeded: bool = True
    corrections: int = 3
    error_info: Details = field(default_factory=dict)

    def tell(self, batch: BatchAggregate, causation: Causation) -> None:
        if not self.succeeded:
            batch.record_spellcheck_failure(
                essay_id=self.essay_id,
                corrections_made=0,
                error_info=self.error_info,
                happened_at=self.at,
                causation=causation,
            )
            return
        batch.record_spellcheck(
            essay_id=self.essay_id,
            corrections_made=self.corrections,
            metrics=SpellcheckMetrics(
                total_corrections=self.corrections,
                l2_dictionary_corrections=0,
                spellchecker_corrections=self.corrections,
                word_count=100,
                correction_density=float(self.corrections),
            ),
            original_text_storage_id="text-1",
            corrected_text_storage_id="text-2",
            processing_duration_ms=900,
            processor_version="spellchecker-1",
            happened_at=self.at,
            causation=causation,
        )


@dataclass(frozen=True)
class PhaseOutcome(Message):
    """Upstream's word on a phase. It has no time of its own: `at` is when it was sent."""

    phase: str
    status: BatchStatus = BatchStatus.COMPLETED_SUCCESSFULLY
    failed: tuple[str, ...] = ()
    processed: int = 0

    def tell(self, batch: BatchAggregate, causation: Causation) -> None:
        batch.conclude_phase(
            phase=self.phase,
            status=self.status,
            processed_count=self.processed,
            failed_essay_ids=self.failed,
            happened_at=self.at,
            causation=causation,
        )


@dataclass(frozen=True)
class Assessed(Message):
    """A comparative-judgement job's ranking; no results means that it ranked nobody."""

    results: tuple[EssayResult, ...]
    job_id: str = "job-1"
    seconds: float | None = None

    def tell(self, batch: BatchAggregate, causation: Causation) -> None:
        batch.record_assessment(
            job_id=self.job_id,
            assignment_id=None,
            method="cj",
            model_used="synthetic-model-1",
            model_provider="mock",
            model_version=None,
            results=self.results,
            metadata={} if self.seconds is None else {"processing_duration_seconds": self.seconds},
            happened_at=self.at,
            causation=causation,
        )


@dataclass(frozen=True)
class PipelineCompleted(Message):
    """The orchestrator's last word."""

    phases: tuple[str, ...]
    status: BatchStatus = BatchStatus.COMPLETED_SUCCESSFULLY

    def tell(self, batch: BatchAggregate, causation: Causation) -> None:
        batch.complete_pipeline(
            completed_phases=self.phases,
            final_status=self.status,
            processing_duration_seconds=60.0,
            successful_essay_count=99,
            failed_essay_count=0,
            happened_at=self.at,
            causation=causation,
        )


def registered(
    *essay_ids: str,
    at: int = 0,
    user_id: str = TEACHER,
    class_id: str | None = None,
    org_id: str | None = None,
    course_code: str = "ENG5",
) -> Message:
    """The batch is registered with `essay_ids`."""
    return Registered(essay_ids, user_id, class_id, org_id, course_code, at=minute(at))


def slot_assigned(
    essay_id: str, file_name: str = "essay-01.docx", *, at: int = 1, text_id: str = "text-1"
) -> Message:
    """A file took the essay's place."""
    return SlotAssigned(essay_id, file_name, text_id, at=minute(at))


def spellchecked(essay_id: str, *, at: int = 10, corrections: int = 3) -> Message:
    """The essay came through its spellcheck."""
    return Spellchecked(essay_id, True, corrections, at=minute(at))


def spellcheck_failed(essay_id: str, *, at: int = 10, error_info: Details | None = None) -> Message:
    """The essay failed its spellcheck."""
    return Spellchecked(essay_id, False, 0, error_info or {}, at=minute(at))


def phase_outcome(
    phase: str,
    status: BatchStatus = BatchStatus.COMPLETED_SUCCESSFULLY,
    *,
    failed: Iterable[str] = (),
    processed: int = 0,
    at: int = 15,
) -> Message:
    """Upstream says how a phase as a whole ended."""
    return PhaseOutcome(phase, status, tuple(failed), processed, at=minute(at))


def assessed(*essays: str | EssayResult, job: str = "job-1", at: int = 20) -> Message:
    """A job ranked `essays`, best first; a bare id takes its place in the line as its rank."""
    results = (
        ranked(essay, rank) if isinstance(essay, str) else essay for rank, essay in enumerate(essays, start=1)
    )
    return Assessed(tuple(results), job, at=minute(at))


def ranked(essay_id: str, rank: int, *, grade: str = "B", is_anchor: bool = False) -> EssayResult:
    """One line of an assessment."""
    return EssayResult(
        essay_id=essay_id,
        rank=rank,
        bt_score=1.0 - rank / 10,
        normalized_score=0.5,
        letter_grade=grade,
        confidence_score=0.9,
        confidence_label="HIGH",
        is_anchor=is_anchor,
    )


def pipeline_completed(
    *phases: str, status: BatchStatus = BatchStatus.COMPLETED_SUCCESSFULLY, at: int = 30
) -> Message:
    """The orchestrator says that the pipeline, made of `phases`, is over."""
    return PipelineCompleted(phases, status, at=minute(at))


def in_run(run: str, *messages: Message) -> tuple[Message, ...]:
    """Return `messages` as those of one pipeline run."""
    return tuple(replace(message, run=run) for message in messages)


@dataclass(frozen=True)
class Fact:
    """An expected event: its class and the fields that matter."""

    event_class: type[DomainEvent]
    fields: dict[str, Any]

    def seen_in(self, event: DomainEvent) -> Fact:
        """Return `event` reduced to what this fact speaks of, to be compared with it.

        Of the results of phases the counts are compared; a fact of `processing_times` names the times of all.
        """
        seen = {name: getattr(event, name, "(no such field)") for name in self.fields}
        if isinstance(event, BatchResultsReady):
            if "phase_results" in seen:
                results = event.phase_results
                seen["phase_results"] = tuple(replace(r, processing_time_seconds=None) for r in results)
            if "processing_times" in seen:
                times = {result.phase: result.processing_time_seconds for result in event.phase_results}
                seen["processing_times"] = times
        return Fact(type(event), seen)


def fact(event_class: type[DomainEvent], **fields: Any) -> Fact:
    """Expect an event of `event_class` with these `fields`."""
    return Fact(event_class, fields)


def play(messages: Iterable[Message], batch: BatchAggregate | None = None) -> BatchAggregate:
    """Tell `batch` (a new one unless given) the messages, each with a causation of its own."""
    batch = batch or BatchAggregate(STREAM)
    for offset, message in enumerate(messages, start=batch.version + 1):
        message.tell(batch, caused_by(offset, message.run))
    return batch


def announced(events: Iterable[DomainEvent]) -> list[DomainEvent]:
    """Return the events that leave the service, in order."""
    return [event for event in events if isinstance(event, BatchResultsReady | BatchAssessmentCompleted)]


@dataclass(frozen=True)
class Story:
    """A batch with a past, and what it has recorded since."""

    batch: BatchAggregate
    recorded: tuple[DomainEvent, ...] = ()

    def when(self, *messages: Message) -> Story:
        """Let upstream say something more."""
        play(messages, self.batch)
        return Story(self.batch, tuple(self.batch.collect_events()))

    def then(self, *facts: Fact) -> Story:
        """Check that exactly these facts were recorded since, in this order."""
        names = [type(event).__name__ for event in self.recorded]
        assert names == [f.event_class.__name__ for f in facts], f"recorded {names}"
        for expected, event in zip(facts, self.recorded, strict=True):
            seen = expected.seen_in(event)
            assert seen == expected, f"recorded {seen.fields}, expected {expected.fields}"
        return self

    def then_announced(self, *facts: Fact) -> Story:
        """Check that exactly these facts were announced since, whatever else was recorded."""
        return Story(self.batch, tuple(announced(self.recorded))).then(*facts)


def given(*messages: Message) -> Story:
    """Begin with a batch rebuilt from what `messages` made another one record."""
    return Story(replayed(play(messages).collect_events()))


def replayed(events: Sequence[DomainEvent]) -> BatchAggregate:
    """Return the batch that `events` describe."""
    return BatchAggregate.replay(STREAM, events)
