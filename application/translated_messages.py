"""What each topic's message says: commands on the aggregates that it concerns.

Upstream's time of a fact is the payload's own (`assessed_at` for assessments, `completed_at` for a judge's
answer). Where a payload has none, the envelope's, and then the record's, take its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from application import topics
from application.aggregates import Kind
from application.contracts import incoming as wire
from application.contracts.enums import EssayComparisonWinner
from application.contracts.fast_reading import FastReader
from application.messages import IncomingMessage
from domain.assessment import AssessmentAggregate, Comparison, assessment_stream_id
from domain.assessment_events import Side
from domain.batch import BatchAggregate, batch_stream_id
from domain.immutable import immutable
from domain.language_analysis import LanguageAnalysisAggregate, analysis_stream_id
from domain.parking import ParkableStream
from domain.times import in_utc
from domain.values import Causation, EssayResult, SpellcheckMetrics

_LONGEST_NAME: Final = 255
_SIDES: Final = {EssayComparisonWinner.ESSAY_A: Side.A, EssayComparisonWinner.ESSAY_B: Side.B}


class Command(NamedTuple):
    """What a message asks of one aggregate: the stream, what its events are folded into, and the deed."""

    stream_id: str
    kind: Kind
    apply: Callable[[Any], None]


@immutable()
class TranslatedMessage:
    """What a message says: a command on each aggregate that it concerns."""

    happened_at: datetime
    causation: Causation
    commands: tuple[Command, ...]


def carry_out(
    command: Command, statement: TranslatedMessage, aggregate: ParkableStream, *, notes_progress: bool
) -> None:
    """Let `aggregate` decide what a command of `statement` makes it record.

    A batch then notes its progress, unless that is switched off.
    """
    if not notes_progress or not isinstance(aggregate, BatchAggregate):
        command.apply(aggregate)
        return
    before = aggregate.progress
    command.apply(aggregate)
    aggregate.note_progress(before, happened_at=statement.happened_at, causation=statement.causation)


def _time(own: datetime | None, envelope: wire.Envelope[Any], message: IncomingMessage) -> datetime:
    return in_utc(own or envelope.event_timestamp or message.timestamp)


def _on_batch(
    batch_id: str, at: datetime, causation: Causation, apply: Callable[[BatchAggregate], None]
) -> TranslatedMessage:
    return TranslatedMessage(at, causation, (Command(batch_stream_id(batch_id), BatchAggregate, apply),))


def _registered(
    envelope: wire.Envelope[wire.BatchEssaysRegistered], message: IncomingMessage, causation: Causation
) -> TranslatedMessage:
    data = envelope.data
    at = _time(data.metadata.timestamp, envelope, message)
    prompt = data.student_prompt_ref

    def apply(batch: BatchAggregate) -> None:
        batch.register(
            user_id=data.user_id,
            essay_ids=tuple(data.essay_ids),
            course_code=data.course_code,
            class_id=data.class_id,
            org_id=data.org_id,
            student_prompt_ref=prompt.model_dump(mode="json") if prompt else None,
            happened_at=at,
            causation=causation,
        )

    return _on_batch(data.entity_id, at, causation, apply)


def _slot_assigned(
    envelope: wire.Envelope[wire.EssaySlotAssigned], message: IncomingMessage, causation: Causation
) -> TranslatedMessage:
    data = envelope.data
    at = _time(data.timestamp, envelope, message)

    def apply(batch: BatchAggregate) -> None:
        batch.assign_slot(
            essay_id=data.essay_id,
            file_upload_id=data.file_upload_id,
            text_storage_id=data.text_storage_id,
            original_file_name=data.original_file_name,
            happened_at=at,
            causation=causation,
        )

    return _on_batch(data.batch_id, at, causation, apply)


def _spellchecked(
    envelope: wire.Envelope[wire.SpellcheckResult], message: IncomingMessage, causation: Causation
) -> TranslatedMessage:
    data = envelope.data
    at = _time(data.timestamp, envelope, message)

    def succeed(batch: BatchAggregate) -> None:
        metrics = data.correction_metrics
        batch.record_spellcheck(
            essay_id=data.entity_id,
            corrections_made=data.corrections_made,
            metrics=SpellcheckMetrics(
                total_corrections=metrics.total_corrections,
                l2_dictionary_corrections=metrics.l2_dictionary_corrections,
                spellchecker_corrections=metrics.spellchecker_corrections,
                word_count=metrics.word_count,
                correction_density=metrics.correction_density,
            ),
            original_text_storage_id=data.original_text_storage_id,
            corrected_text_storage_id=data.corrected_text_storage_id,
            processing_duration_ms=data.processing_duration_ms,
            processor_version=data.processor_version,
            happened_at=at,
            causation=causation,
        )

    def fail(batch: BatchAggregate) -> None:
        batch.record_spellcheck_failure(
            essay_id=data.entity_id,
            corrections_made=data.corrections_made,
            error_info=data.system_metadata.error_info,
            happened_at=at,
            causation=causation,
        )

    return _on_batch(data.batch_id, at, causation, succeed if "success" in data.status else fail)


def _phase_concluded(
    envelope: wire.Envelope[wire.BatchPhaseOutcome], message: IncomingMessage, causation: Causation
) -> TranslatedMessage:
    data = envelope.data
    at = _time(None, envelope, message)

    def apply(batch: BatchAggregate) -> None:
        batch.conclude_phase(
            phase=data.phase_name,
            status=data.phase_status,
            processed_count=len(data.processed_essays),
            failed_essay_ids=tuple(data.failed_essay_ids),
            happened_at=at,
            causation=causation,
        )

    return _on_batch(data.batch_id, at, causation, apply)


def _assessed(
    envelope: wire.Envelope[wire.AssessmentResult], message: IncomingMessage, causation: Causation
) -> TranslatedMessage:
    data = envelope.data
    at = _time(data.assessed_at or data.timestamp, envelope, message)
    job_id = data.cj_assessment_job_id
    facts: dict[str, Any] = {
        "assignment_id": data.assignment_id,
        "method": data.assessment_method,
        "model_used": data.model_used,
        "model_provider": data.model_provider,
        "model_version": data.model_version,
        "results": tuple(EssayResult(**result.model_dump()) for result in data.essay_results),
        "metadata": data.assessment_metadata,
        "happened_at": at,
        "causation": causation,
    }

    def rank(batch: BatchAggregate) -> None:
        batch.record_assessment(job_id=job_id, **facts)

    def conclude(job: AssessmentAggregate) -> None:
        job.record_result(batch_id=data.batch_id, **facts)

    commands = (
        Command(batch_stream_id(data.batch_id), BatchAggregate, rank),
        Command(assessment_stream_id(job_id), AssessmentAggregate, conclude),
    )
    return TranslatedMessage(at, causation, commands)


def _judged(
    envelope: wire.Envelope[wire.ComparisonResult], message: IncomingMessage, causation: Causation
) -> TranslatedMessage:
    data = envelope.data
    asked = data.request_metadata
    at = _time(data.completed_at, envelope, message)
    comparison = Comparison(
        batch_id=asked.bos_batch_id,
        request_id=data.request_id,
        essay_a_id=asked.essay_a_id,
        essay_b_id=asked.essay_b_id,
        judge=_named_judge(asked.model_extra or {}),
        provider=data.provider.value,
        model=data.model,
        response_time_ms=data.response_time_ms,
        prompt_tokens=data.token_usage.prompt_tokens,
        completion_tokens=data.token_usage.completion_tokens,
        total_tokens=data.token_usage.total_tokens,
        cost=data.cost_estimate,
        requested_at=in_utc(data.requested_at),
        request_metadata=asked.model_dump(exclude_unset=True),
    )
    winner, error = data.winner, data.error_detail

    def apply(job: AssessmentAggregate) -> None:
        if winner is not None:
            job.record_decision(
                comparison,
                winner=_SIDES[winner],
                justification=data.justification,
                confidence=data.confidence,
                happened_at=at,
                causation=causation,
            )
        if error is not None:
            job.record_failure(
                comparison,
                error_code=error.error_code.value,
                error=error.model_dump(mode="json"),
                happened_at=at,
                causation=causation,
            )

    stream_id = assessment_stream_id(str(asked.cj_batch_id))
    return TranslatedMessage(at, causation, (Command(stream_id, AssessmentAggregate, apply),))


def _named_judge(metadata: Mapping[str, Any]) -> str | None:
    """Return the judge's own name, where the asker sent one that can be a name."""
    for member in ("judge", "judge_id"):
        name = metadata.get(member)
        if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME:
            return name
    return None


def _pipeline_completed(
    envelope: wire.Envelope[wire.BatchPipelineCompleted], message: IncomingMessage, causation: Causation
) -> TranslatedMessage:
    data = envelope.data
    at = _time(data.metadata.timestamp, envelope, message)

    def apply(batch: BatchAggregate) -> None:
        batch.complete_pipeline(
            completed_phases=tuple(data.completed_phases),
            final_status=data.final_status,
            processing_duration_seconds=data.processing_duration_seconds,
            successful_essay_count=data.successful_essay_count,
            failed_essay_count=data.failed_essay_count,
            happened_at=at,
            causation=causation,
        )

    return _on_batch(data.batch_id, at, causation, apply)


def _analysed(
    envelope: wire.Envelope[wire.EssayNlpCompleted], message: IncomingMessage, causation: Causation
) -> TranslatedMessage:
    data = envelope.data
    at = _time(data.timestamp, envelope, message)

    def apply(analyses: LanguageAnalysisAggregate) -> None:
        analyses.record(
            text_storage_id=data.text_storage_id,
            metrics=data.nlp_metrics.model_dump(),
            grammar=data.grammar_analysis.model_dump(exclude={"errors"}),
            errors=tuple(error.model_dump() for error in data.grammar_analysis.errors),
            is_dated=data.timestamp is not None,
            happened_at=at,
            causation=causation,
        )

    stream_id = analysis_stream_id(data.essay_id)
    return TranslatedMessage(at, causation, (Command(stream_id, LanguageAnalysisAggregate, apply),))


Translator = Callable[[Any, IncomingMessage, Causation], TranslatedMessage]

READERS: Final[Mapping[str, tuple[type[wire.Envelope[Any]], Translator]]] = {
    topics.BATCH_ESSAYS_REGISTERED: (wire.Envelope[wire.BatchEssaysRegistered], _registered),
    topics.ESSAY_SLOT_ASSIGNED: (wire.Envelope[wire.EssaySlotAssigned], _slot_assigned),
    topics.SPELLCHECK_RESULTS: (wire.Envelope[wire.SpellcheckResult], _spellchecked),
    topics.BATCH_PHASE_OUTCOME: (wire.Envelope[wire.BatchPhaseOutcome], _phase_concluded),
    topics.ASSESSMENT_RESULT: (wire.Envelope[wire.AssessmentResult], _assessed),
    topics.BATCH_PIPELINE_COMPLETED: (wire.Envelope[wire.BatchPipelineCompleted], _pipeline_completed),
    topics.COMPARISON_RESULT: (wire.Envelope[wire.ComparisonResult], _judged),
    topics.ESSAY_NLP_COMPLETED: (wire.Envelope[wire.EssayNlpCompleted], _analysed),
}
"""For each input topic the model of its messages, and what makes a statement of one."""

FAST_READERS: Final[Mapping[str, FastReader]] = {
    topic: FastReader(READERS[topic][0])
    for topic in (
        topics.ESSAY_SLOT_ASSIGNED,
        topics.SPELLCHECK_RESULTS,
        topics.BATCH_PHASE_OUTCOME,
        topics.BATCH_PIPELINE_COMPLETED,
    )
}
"""The topics whose statements are made of attributes alone, which what a fast reader returns has as well."""
