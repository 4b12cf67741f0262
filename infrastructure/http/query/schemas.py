"""JSON Schemas (2020-12) of the API's bodies, as OpenAPI 3.1 components."""

from __future__ import annotations

from typing import Any, Final

from domain.dead_letters import STATES, LetterState, RetryOutcome
from infrastructure.check.background_runs import RunState
from infrastructure.http.operators.bulk_letters import NOT_POSSIBLE
from infrastructure.http.query.history_schemas import HISTORY_SCHEMAS

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": "array", "items": {"type": "string"}}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
_NUMBER: Final[Schema] = {"type": ["number", "null"]}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_MAYBE_COUNT: Final[Schema] = {"type": ["integer", "null"], "minimum": 0}
_OBJECT: Final[Schema] = {"type": ["object", "null"], "additionalProperties": True}
_TIME: Final[Schema] = {"type": "string", "description": "UTC without zone"}
_MAYBE_TIME: Final[Schema] = {"type": ["string", "null"], "description": "UTC without zone"}
_STAGE: Final[Schema] = {"type": ["string", "null"], "enum": ["completed", "failed", None]}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(name: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def _with_assessment(schema: Schema) -> Schema:
    """Add the member that only `?include=assessment` brings."""
    schema["properties"]["assessment"] = {
        "oneOf": [
            {"$ref": "#/components/schemas/Assessment"},
            {"$ref": "#/components/schemas/AssessmentUnavailable"},
        ]
    }
    return schema


CLIENT_STATUSES: Final = [
    "pending_content",
    "ready",
    "processing",
    "completed_successfully",
    "completed_with_failures",
    "failed",
    "cancelled",
]

SCHEMAS: Final[dict[str, Schema]] = {
    "EssayResult": _object(
        essay_id=_TEXT,
        filename=_MAYBE_TEXT,
        file_upload_id=_MAYBE_TEXT,
        spellcheck_status=_STAGE,
        spellcheck_correction_count=_MAYBE_COUNT,
        spellcheck_corrected_text_storage_id=_MAYBE_TEXT,
        spellcheck_error_detail=_OBJECT,
        cj_assessment_status=_STAGE,
        cj_rank=_MAYBE_COUNT,
        cj_score=_NUMBER,
        cj_assessment_error_detail=_OBJECT,
        last_updated=_TIME,
    ),
    "BatchStatus": _with_assessment(
        _object(
            batch_id=_TEXT,
            user_id=_TEXT,
            assignment_id=_MAYBE_TEXT,
            overall_status={"type": "string", "enum": CLIENT_STATUSES},
            essay_count=_COUNT,
            completed_essay_count=_COUNT,
            failed_essay_count=_COUNT,
            requested_pipeline=_MAYBE_TEXT,
            current_phase={"type": ["string", "null"], "enum": ["spellcheck", "cj_assessment", None]},
            essays=_list("EssayResult"),
            created_at=_TIME,
            last_updated=_TIME,
            processing_started_at=_MAYBE_TIME,
            processing_completed_at=_MAYBE_TIME,
            student_prompt_ref=_OBJECT,
        )
    ),
    "UserBatches": _object(
        batches=_list("BatchStatus"), pagination=_object(limit=_COUNT, offset=_COUNT, total=_COUNT)
    ),
    "EssayAnalysis": _with_assessment(
        _object(
            essay_id=_TEXT,
            batch_id=_TEXT,
            user_id=_TEXT,
            class_id=_MAYBE_TEXT,
            course_code=_MAYBE_TEXT,
            assignment_id=_MAYBE_TEXT,
            batch_status={"type": "string", "enum": CLIENT_STATUSES},
            essay_status={"type": "string", "enum": ["pending", "completed", "failed"]},
            file=_object(filename=_MAYBE_TEXT, file_upload_id=_MAYBE_TEXT, text_storage_id=_MAYBE_TEXT),
            spellcheck=_object(
                status=_STAGE,
                correction_count=_MAYBE_COUNT,
                corrected_text_storage_id=_MAYBE_TEXT,
                metrics=_OBJECT,
                error_detail=_OBJECT,
                checked_at=_MAYBE_TIME,
            ),
            cj_assessment=_object(
                status=_STAGE,
                job_id=_MAYBE_TEXT,
                rank=_MAYBE_COUNT,
                ranked_essays=_COUNT,
                bt_score=_NUMBER,
                normalized_score=_NUMBER,
                letter_grade=_MAYBE_TEXT,
                confidence_score=_NUMBER,
                confidence_label=_MAYBE_TEXT,
                assessed_at=_MAYBE_TIME,
            ),
            last_updated=_TIME,
        )
    ),
    "Assessment": {
        "description": "The assessment app's summary of the batch; for an essay, of each job only its part",
        "type": "object",
        "properties": {
            "available": {"const": True},
            "batch_id": _TEXT,
            "jobs": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
        },
        "required": ["available", "batch_id", "jobs"],
        "additionalProperties": True,
    },
    "AssessmentUnavailable": _object(
        available={"const": False}, reason={"type": "string", "description": "A sentence for people"}
    ),
    "Notification": _object(
        notification_id={"type": "string", "format": "uuid"},
        notification_type={"type": "string", "enum": ["batch_results_ready", "batch_assessment_completed"]},
        category=_TEXT,
        priority={"type": "string", "enum": ["high", "standard"]},
        action_required={"type": "boolean"},
        batch_id=_TEXT,
        class_id=_MAYBE_TEXT,
        correlation_id=_TEXT,
        payload={"type": "object", "additionalProperties": True},
        timestamp={"type": "string", "format": "date-time"},
        read_at={"type": ["string", "null"], "format": "date-time"},
    ),
    "Notifications": _object(notifications=_list("Notification"), next_cursor=_MAYBE_TEXT),
    "DeadLetterSummary": _object(
        position=_COUNT,
        stream_id=_TEXT,
        reason=_TEXT,
        detail=_TEXT,
        topic=_TEXT,
        partition=_COUNT,
        offset=_COUNT,
        received_at={"type": "string", "format": "date-time"},
        state={"type": "string", "enum": list(STATES)},
        attempts=_COUNT,
        changed_at={"type": ["string", "null"], "format": "date-time"},
        changed_by=_MAYBE_TEXT,
        note=_MAYBE_TEXT,
    ),
    "Retried": _object(
        outcome={"enum": [outcome.value for outcome in RetryOutcome]}, reason=_MAYBE_TEXT, detail=_MAYBE_TEXT
    ),
    "Parked": _object(
        parked={
            "type": "array",
            "items": _object(
                stream_id=_TEXT,
                waiting=_COUNT,
                first_position=_COUNT,
                since={"type": "string", "format": "date-time"},
                fault=_TEXT,
            ),
        }
    ),
    "Drained": _object(
        outcomes={"type": "object", "additionalProperties": _COUNT}, left=_COUNT, fault=_MAYBE_TEXT
    ),
    "DeadLetter": {
        "allOf": [
            {"$ref": "#/components/schemas/DeadLetterSummary"},
            _object(
                key={"type": ["string", "null"], "contentEncoding": "base64"},
                value={"type": ["string", "null"], "contentEncoding": "base64"},
                headers={"type": "array"},
            ),
        ]
    },
    "DeadLetters": _object(
        dead_letters=_list("DeadLetterSummary"),
        next_cursor=_MAYBE_TEXT,
        settleable={
            "description": "How many fit the filters, are open and not parked: `expected` of an order for all of them",
            **_COUNT,
        },
    ),
    "SettledLetters": _object(
        outcomes={"type": "object", "additionalProperties": _COUNT},
        letters={
            "type": "array",
            "items": _object(
                position=_COUNT,
                outcome={"enum": [*RetryOutcome, LetterState.DISCARDED, NOT_POSSIBLE]},
                reason=_MAYBE_TEXT,
                detail=_MAYBE_TEXT,
            ),
        },
        left={"description": "How many are behind this piece: `expected` of the next", **_COUNT},
        next_cursor=_MAYBE_TEXT,
    ),
    **HISTORY_SCHEMAS,
    "OutboxEntry": _object(
        position=_COUNT,
        aggregate=_TEXT,
        version=_COUNT,
        event_type=_TEXT,
        topic=_TEXT,
        key=_TEXT,
        event_id={"type": "string", "format": "uuid"},
        recorded_at={"type": "string", "format": "date-time"},
        published_at={"type": ["string", "null"], "format": "date-time"},
    ),
    "Outbox": _object(
        position=_COUNT,
        pending_events=_COUNT,
        pending=_list("OutboxEntry"),
        published=_list("OutboxEntry"),
        notes=_TEXTS,
    ),
    "CheckAccount": _object(
        name=_TEXT, expected=_COUNT, found=_COUNT, unit=_TEXT, agrees={"type": "boolean"}
    ),
    "CheckFinding": _object(account=_TEXT, id=_TEXT, detail=_TEXT),
    "Check": _object(
        consistent={"type": "boolean"},
        since=_COUNT,
        position=_COUNT,
        accounts=_list("CheckAccount"),
        findings=_list("CheckFinding"),
        unnamed_findings=_COUNT,
        notes=_TEXTS,
    ),
    "CheckRun": _object(
        id=_TEXT,
        state={"type": "string", "enum": list(RunState)},
        started_at={"type": "string", "format": "date-time"},
        ended_at={"type": ["string", "null"], "format": "date-time"},
        progress={
            "type": "array",
            "items": _object(what=_TEXT, done=_COUNT, total=_COUNT),
        },
        report={
            "description": "Once it is finished",
            "anyOf": [{"$ref": "#/components/schemas/Check"}, {"type": "null"}],
        },
        fault={"description": "Why it failed", **_MAYBE_TEXT},
    ),
    "Health": {"type": "object", "additionalProperties": True, "required": ["status"]},
    "Problem": {
        "description": "RFC 9457, with upstream's `error` beside",
        **_object(
            type=_TEXT,
            title=_TEXT,
            status={"type": "integer"},
            detail=_TEXT,
            instance=_TEXT,
            correlation_id=_MAYBE_TEXT,
            error=_TEXT,
        ),
    },
}
