"""The AsyncAPI 3 document: the topics that RAS reads and writes, and the live stream, made from their types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from application import topics
from application.contracts.outgoing import (
    AssessmentCompleted,
    DeadLetterNotice,
    ResultsReady,
    SentEnvelope,
    TeacherNotificationRequested,
)
from application.translated_messages import READERS
from infrastructure.http.json_schema import Schema, component_name, components
from infrastructure.live.message_types import FROM_CLIENTS, STREAMED, IdentityExpired, Pong

WRITTEN: Final[Mapping[str, Any]] = {
    topics.BATCH_RESULTS_READY: SentEnvelope[ResultsReady],
    topics.BATCH_ASSESSMENT_COMPLETED: SentEnvelope[AssessmentCompleted],
    topics.TEACHER_NOTIFICATION_REQUESTED: SentEnvelope[TeacherNotificationRequested],
    topics.DEAD_LETTERS: SentEnvelope[DeadLetterNotice],
}
_KEYS: Final = {
    topics.BATCH_ESSAYS_REGISTERED: "the batch's id",
    topics.ESSAY_SLOT_ASSIGNED: "the essay's id",
    topics.SPELLCHECK_RESULTS: "the essay's id",
    topics.BATCH_PHASE_OUTCOME: "the batch's id",
    topics.ASSESSMENT_RESULT: "the judging job's id, an integer as text",
    topics.BATCH_PIPELINE_COMPLETED: "the batch's id",
    topics.ESSAY_NLP_COMPLETED: "the essay's id",
    topics.BATCH_RESULTS_READY: "the batch's id",
    topics.BATCH_ASSESSMENT_COMPLETED: "the batch's id",
    topics.TEACHER_NOTIFICATION_REQUESTED: "the teacher's id",
    topics.DEAD_LETTERS: "topic and partition of the message",
}
_DESCRIPTION: Final = (
    "RAS reads upstream's topics and announces results on its own. Readers route by topic, not by event_type, and "
    "ignore fields that they do not know. It streams to teachers what happens to their batches, over a WebSocket or "
    "as server-sent events. Resume with the id of the last message."
)
_HEADERS: Final = {
    "type": "object",
    "required": ["event_id", "event_type", "trace_id", "occurred_at", "schema_version", "source_service"],
    "properties": {
        name: {"type": "string", "description": text}
        for name, text in (
            ("event_id", "As in the envelope"),
            ("event_type", "The topic"),
            ("trace_id", "The correlation id"),
            ("occurred_at", "As event_timestamp in the envelope"),
            ("schema_version", "1"),
            ("content_type", "application/json"),
            ("source_service", topics.SOURCE_SERVICE),
            ("traceparent", "W3C trace context of the cause, where there is one"),
        )
    },
}
_QUERY: Final = {
    "type": "object",
    "properties": {
        "ticket": {"type": "string", "description": "From POST /v1/stream-tickets; works once"},
        "token": {"type": "string", "description": "The JWT, where no header can be sent"},
        "last_event_id": {"type": "string", "description": "Resume after this message"},
    },
}
_SECURITY: Final = [
    {"$ref": f"#/components/securitySchemes/{name}"} for name in ("bearer", "token", "ticket", "session")
]


def asyncapi_document() -> dict[str, Any]:
    """Return the document."""
    read = {topic: envelope for topic, (envelope, _) in READERS.items()}
    channels = {
        **{topic: _topic(topic, kind, is_ours=False) for topic, kind in read.items()},
        **{topic: _topic(topic, kind, is_ours=True) for topic, kind in WRITTEN.items()},
        "websocket": _stream("/ws", "websocket", (*STREAMED, Pong, *FROM_CLIENTS), "ws"),
        "events": _stream("/v1/notifications/stream", "events", (*STREAMED, IdentityExpired), None),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Result Aggregator Service",
            "version": version("result-aggregator-service"),
            "description": _DESCRIPTION,
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "localhost:9092",
                "protocol": "kafka",
                "description": "RAS_KAFKA_BOOTSTRAP_SERVERS",
            },
            "websocket": {"host": "localhost:4003", "protocol": "ws", "security": _SECURITY},
            "events": {"host": "localhost:4003", "protocol": "http", "security": _SECURITY},
        },
        "channels": channels,
        "operations": {
            **{f"read {topic}": _operation("receive", topic, [kind]) for topic, kind in read.items()},
            **{f"write {topic}": _operation("send", topic, [kind]) for topic, kind in WRITTEN.items()},
            "stream over a websocket": _operation("send", "websocket", [*STREAMED, Pong]),
            "hear clients of a websocket": _operation("receive", "websocket", FROM_CLIENTS),
            "stream server-sent events": {
                **_operation("send", "events", [*STREAMED, IdentityExpired]),
                "bindings": {"http": {"method": "GET", "query": _QUERY}},
            },
        },
        "components": {
            "schemas": {
                **components(read.values(), mode="validation"),
                **components([*WRITTEN.values(), *STREAMED, IdentityExpired, Pong, *FROM_CLIENTS]),
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "token": {"type": "httpApiKey", "name": "token", "in": "query"},
                "ticket": {"type": "httpApiKey", "name": "ticket", "in": "query"},
                "session": {"type": "httpApiKey", "name": "ras_session", "in": "cookie"},
            },
        },
    }


def payload_schema(kind: Any) -> Schema:
    """Return a reference to the schema of a message's payload."""
    return {"$ref": f"#/components/schemas/{component_name(kind)}"}


def _topic(topic: str, kind: Any, *, is_ours: bool) -> dict[str, Any]:
    key = _KEYS.get(topic)
    message = _message(kind) | ({"headers": _HEADERS} if is_ours else {})
    if key is not None:
        message["bindings"] = {"kafka": {"key": {"type": "string", "description": key}}}
    return {
        "address": topic,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {component_name(kind): message},
        "bindings": {"kafka": {"topic": topic, "partitions": 3}},
    }


def _stream(address: str, server: str, kinds: Iterable[Any], binding: str | None) -> dict[str, Any]:
    bindings = {} if binding is None else {"bindings": {binding: {"method": "GET", "query": _QUERY}}}
    return {
        "address": address,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {component_name(kind): _message(kind) for kind in kinds},
        **bindings,
    }


def _message(kind: Any) -> dict[str, Any]:
    return {"name": component_name(kind), "payload": payload_schema(kind)}


def _operation(action: str, channel: str, kinds: Iterable[Any]) -> dict[str, Any]:
    place = f"#/channels/{channel}"
    return {
        "action": action,
        "channel": {"$ref": place},
        "messages": [{"$ref": f"{place}/messages/{component_name(kind)}"} for kind in kinds],
    }
