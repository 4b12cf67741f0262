"""A record as upstream's services produce it: their envelope, their names, their time format."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from application import topics

SOURCES: Final = {
    topics.BATCH_ESSAYS_REGISTERED: "batch-service",
    topics.ESSAY_SLOT_ASSIGNED: "essay-lifecycle-service",
    topics.SPELLCHECK_RESULTS: "spellchecker_service",
    topics.BATCH_PHASE_OUTCOME: "essay-lifecycle-service",
    topics.ASSESSMENT_RESULT: "cj_assessment_service",
    topics.BATCH_PIPELINE_COMPLETED: "batch_orchestrator_service",
    topics.COMPARISON_RESULT: "llm_provider_service",
    topics.ESSAY_NLP_COMPLETED: "nlp_service",
}
"""Which service writes to a topic, as it names itself in `source_service`."""

_EVENT_TYPES: Final = {
    topics.ASSESSMENT_RESULT: "assessment.result.published",
    topics.BATCH_PIPELINE_COMPLETED: "batch.pipeline.completed",
    topics.COMPARISON_RESULT: "LLMComparisonResultV1",
}
"""The three topics whose messages do not carry the topic's name as their type."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class UpstreamMessage:
    """A record as upstream produces it. `sent_at` is its envelope's `event_timestamp`."""

    topic: str
    key: bytes | None
    value: bytes
    sent_at: datetime
    headers: tuple[tuple[str, bytes], ...] = ()


def enveloped(
    topic: str,
    key: str | None,
    *,
    data: Json,
    metadata: Json | None,
    event_id: str,
    correlation_id: str,
    sent_at: datetime,
) -> UpstreamMessage:
    """Return the message of `topic` that carries `data`, every field written, nulls included."""
    envelope = {
        "event_id": event_id,
        "event_type": _EVENT_TYPES.get(topic, topic),
        "event_timestamp": wire_time(sent_at),
        "source_service": SOURCES[topic],
        "schema_version": 1,
        "correlation_id": correlation_id,
        "data_schema_uri": None,
        "data": data,
        "metadata": metadata,
    }
    return UpstreamMessage(topic, None if key is None else key.encode(), orjson.dumps(envelope), sent_at)


def sent_again(message: UpstreamMessage, *, event_id: str, sent_at: datetime) -> UpstreamMessage:
    """Return the message as upstream's relay sends a row twice: one content under two event ids."""
    envelope = orjson.loads(message.value)
    envelope["event_id"] = event_id
    envelope["event_timestamp"] = wire_time(sent_at)
    return UpstreamMessage(message.topic, message.key, orjson.dumps(envelope), sent_at, message.headers)


def wire_time(at: datetime) -> str:
    """Return a UTC time as upstream writes it, with microseconds and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
