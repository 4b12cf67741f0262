"""JSON Schemas of the answers about a batch's past and readiness."""

from __future__ import annotations

from typing import Any, Final

from domain.readiness import Message
from domain.values import BatchStatus

_COUNT: Final = {"type": "integer", "minimum": 0}
_TEXT: Final = {"type": "string"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_MAYBE_TIME: Final = {"type": ["string", "null"], "format": "date-time"}
_MAYBE_STATUS: Final = {"enum": [*(status.value for status in BatchStatus), None]}


def _object(properties: dict[str, Any], *, or_null: bool = False) -> dict[str, Any]:
    kind = ["object", "null"] if or_null else "object"
    return {"type": kind, "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_ESSAYS: Final = {
    **_object({"count": _COUNT, "essay_ids": _list(_TEXT)}),
    "description": "How many, and the first of them; all with `all=true`",
}

HISTORY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "History": _object(
        {
            "batch_id": _TEXT,
            "as_of": _MAYBE_TIME,
            "by": {"enum": ["recorded", "happened", None]},
            "events": _list({"$ref": "#/components/schemas/HistoryEvent"}),
            "next_cursor": _MAYBE_TEXT,
        }
    ),
    "HistoryEvent": _object(
        {
            "version": {"type": "integer", "minimum": 1, "description": "The event's place in its stream"},
            "notification_id": {
                "type": "integer",
                "minimum": 1,
                "description": "Its place in the log of all",
            },
            "event": {**_TEXT, "description": "The name under which it is stored"},
            "text": {**_TEXT, "description": "What happened, in plain words"},
            "happened_at": _MAYBE_TIME,
            "recorded_at": _MAYBE_TIME,
            "cause": {
                **_object(
                    {
                        "topic": _TEXT,
                        "partition": _COUNT,
                        "offset": _COUNT,
                        "event_id": _MAYBE_TEXT,
                        "correlation_id": _MAYBE_TEXT,
                    },
                    or_null=True,
                ),
                "description": "The message that caused it; null where the event cannot be read",
            },
        }
    ),
    "Readiness": _object(
        {
            "batch_id": _TEXT,
            "position": _COUNT,
            "state": {"enum": ["ready", "not_ready", "not_registered", "unreadable"]},
            "is_ready": {"type": ["boolean", "null"]},
            "overall_status": _MAYBE_STATUS,
            "announced_status": _MAYBE_STATUS,
            "revision": {"type": ["integer", "null"], "minimum": 0},
            "essays": _object(
                {
                    "expected": _COUNT,
                    "completed": _COUNT,
                    "failed": _COUNT,
                    "pending": _COUNT,
                    "unexpected": _ESSAYS,
                },
                or_null=True,
            ),
            "pipeline_status": _MAYBE_STATUS,
            "assessment": _object({"job_id": _TEXT, "ranked": _COUNT}, or_null=True),
            "phases": _list(
                _object(
                    {
                        "phase": _TEXT,
                        "required": {"type": "boolean"},
                        "completed": _COUNT,
                        "failed": _ESSAYS,
                        "missing": _ESSAYS,
                        "upstream_status": _MAYBE_STATUS,
                        "upstream_said_at": _MAYBE_TIME,
                    }
                )
            ),
            "awaited": _list(
                _object(
                    {
                        "message": {"enum": [message.value for message in Message]},
                        "phase": _MAYBE_TEXT,
                        "count": _COUNT,
                        "topic": _TEXT,
                    }
                )
            ),
            "parked": _object(
                {
                    "count": _COUNT,
                    "messages": _list(
                        _object(
                            {
                                "version": _COUNT,
                                "topic": _TEXT,
                                "partition": _COUNT,
                                "offset": _COUNT,
                                "parked_at": _MAYBE_TIME,
                            }
                        )
                    ),
                }
            ),
            "sentences": _list(_TEXT),
        }
    ),
}
