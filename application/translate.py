"""From a message to a command on its batch, or to the reason why it is a dead letter.

Everything here is a function of the bytes and the time of receipt: no state, no I/O. Upstream's time of
a fact is the payload's own (`assessed_at` for assessments). Where a payload has none, the envelope's,
and then the record's, take its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from pydantic import ValidationError

from application import topics
from application.contracts import incoming as wire
from application.messages import IncomingMessage
from application.tracing import traceparent_of
from domain.batch import BatchAggregate
from domain.dead_letters import Reason
from domain.values import Causation, EssayResult, SpellcheckMetrics

FUTURE_TOLERANCE: Final = timedelta(days=365)
"""A fact from further ahead than this is garbage; believed, it would outrank every true result."""

_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN_ERRORS: Final = 5


@dataclass(frozen=True, slots=True)
class Command:
    """What a message asks of the batch `batch_id`."""

    batch_id: str
    happened_at: datetime
    causation: Causation
    apply: Callable[[BatchAggregate], None]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a message cannot be taken in. `detail` never repeats values: they may be personal."""

    reason: Reason
    detail: str
    causation: Causation


def translate(
    message: IncomingMessage, *, received_at: datetime, future_tolerance: timedelta = FUTURE_TOLERANCE
) -> Command | Rejection:
    """Read one message of an input topic."""
    if message.value is None:
        return _rejection(Reason.NO_VALUE, "The record has no value (a tombstone).", message, received_at)
    reader, to_command = _READERS[message.topic]
    try:
        envelope = reader.model_validate_json(message.value)
    except ValidationError as error:
        return _rejection(*_explained(error), message, received_at)
    if (b"NaN" in message.value or b"Infinity" in message.value) and not _is_json(message.value):
        return _rejection(Reason.NOT_JSON, "NaN and Infinity are not JSON.", message, received_at)
    if b"\\u0000" in message.value and _holds_nul(json.loads(message.value)):
        detail = "A text holds the character U+0000, which PostgreSQL cannot store."
        return _rejection(Reason.NOT_STORABLE, detail, message, received_at)
    command = to_command(envelope, message, _causation(envelope, message, received_at))
    if command.happened_at - received_at > future_tolerance:
        return Rejection(
            Reason.IMPLAUSIBLE_TIME,
            f"The message is from {command.happened_at.isoformat()}, more than {future_tolerance.days} days "
            f"after it was received ({received_at.isoformat()}).",
            command.causation,
        )
    if command.happened_at < _EARLIEST:
        detail = f"The message is from {command.happened_at.isoformat()}, before 1970."
        return Rejection(Reason.IMPLAUSIBLE_TIME, detail, command.causation)
    return command


def _rejection(reason: Reason, detail: str, message: IncomingMessage, received_at: datetime) -> Rejection:
    unread = Causation(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        received_at=received_at,
        traceparent=traceparent_of(message.headers),
    )
    return Rejection(reason, detail, unread)


def _causation(envelope: wire.Envelope[Any], message: IncomingMessage, received_at: datetime) -> Causation:
    in_envelope = (envelope.metadata or {}).get("traceparent")
    return Causation(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        received_at=received_at,
        event_id=envelope.event_id,
        correlation_id=envelope.correlation_id,
        traceparent=traceparent_of(message.headers, in_envelope),
    )


def _explained(error: ValidationError) -> tuple[Reason, str]:
    errors = error.errors(include_input=False, include_url=False, include_context=False)
    if errors[0]["type"] == "json_invalid":
        return Reason.NOT_JSON, errors[0]["msg"]
    shown = [f"{_place(e['loc'])}: {e['msg']}" for e in errors[:_SHOWN_ERRORS]]
    if len(errors) > _SHOWN_ERRORS:
        shown.append(f"and {len(errors) - _SHOWN_ERRORS} more")
    return Reason.CONTRACT_VIOLATION, "; ".join(shown)


def _place(location: tuple[int | str, ...]) -> str:
    """Name where in the message an error is; keys that the sender made up are not repeated."""
    known = (str(part) if isinstance(part, int) or part in wire.FIELD_NAMES else "…" for part in location)
    return ".".join(known) or "message"


def _is_json(value: bytes) -> bool:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_holds_nul, value))


def _time(own: datetime | None, envelope: wire.Envelope[Any], message: IncomingMessage) -> datetime:
    time = own or envelope.event_timestamp or message.timestamp
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _registered(
    envelope: wire.Envelope[wire.BatchEssaysRegistered], message: IncomingMessage, causation: Causation
) -> Command:
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

    return Command(data.entity_id, at, causation, apply)


def _slot_assigned(
    envelope: wire.Envelope[wire.EssaySlotAssigned], message: IncomingMessage, causation: Causation
) -> Command:
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

    return Command(data.batch_id, at, causation, apply)


def _spellchecked(
    envelope: wire.Envelope[wire.SpellcheckResult], message: IncomingMessage, causation: Causation
) -> Command:
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

    return Command(data.batch_id, at, causation, succeed if "success" in data.status else fail)


def _phase_concluded(
    envelope: wire.Envelope[wire.BatchPhaseOutcome], message: IncomingMessage, causation: Causation
) -> Command:
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

    return Command(data.batch_id, at, causation, apply)


def _assessed(
    envelope: wire.Envelope[wire.AssessmentResult], message: IncomingMessage, causation: Causation
) -> Command:
    data = envelope.data
    at = _time(data.assessed_at or data.timestamp, envelope, message)

    def apply(batch: BatchAggregate) -> None:
        batch.record_assessment(
            job_id=data.cj_assessment_job_id,
            assignment_id=data.assignment_id,
            method=data.assessment_method,
            model_used=data.model_used,
            model_provider=data.model_provider,
            model_version=data.model_version,
            results=tuple(EssayResult(**result.model_dump()) for result in data.essay_results),
            metadata=data.assessment_metadata,
            happened_at=at,
            causation=causation,
        )

    return Command(data.batch_id, at, causation, apply)


def _pipeline_completed(
    envelope: wire.Envelope[wire.BatchPipelineCompleted], message: IncomingMessage, causation: Causation
) -> Command:
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

    return Command(data.batch_id, at, causation, apply)


_ToCommand = Callable[[Any, IncomingMessage, Causation], Command]

_READERS: Final[Mapping[str, tuple[type[wire.Envelope[Any]], _ToCommand]]] = {
    topics.BATCH_ESSAYS_REGISTERED: (wire.Envelope[wire.BatchEssaysRegistered], _registered),
    topics.ESSAY_SLOT_ASSIGNED: (wire.Envelope[wire.EssaySlotAssigned], _slot_assigned),
    topics.SPELLCHECK_RESULTS: (wire.Envelope[wire.SpellcheckResult], _spellchecked),
    topics.BATCH_PHASE_OUTCOME: (wire.Envelope[wire.BatchPhaseOutcome], _phase_concluded),
    topics.ASSESSMENT_RESULT: (wire.Envelope[wire.AssessmentResult], _assessed),
    topics.BATCH_PIPELINE_COMPLETED: (wire.Envelope[wire.BatchPipelineCompleted], _pipeline_completed),
}
