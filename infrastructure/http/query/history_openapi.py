"""The description of the routes that look back."""

from __future__ import annotations

from typing import Any, Final

from application.time_travel import By
from infrastructure.http.openapi import CURSOR, limit, operation, query

TIME_TRAVEL: Final = (
    query(
        "as_of",
        "Only what counts at this time (RFC 3339, with its zone)",
        {"type": "string", "format": "date-time"},
    ),
    query(
        "by",
        "Which time counts: when RAS recorded it, or when it happened; goes with `as_of`",
        {"type": "string", "enum": list(By)},
    ),
)

HISTORY_PATHS: Final[dict[str, dict[str, Any]]] = {
    "/internal/v1/batches/{batch_id}/history": {
        "get": operation(
            "What happened to a batch, event by event",
            "History",
            path=["batch_id"],
            query=[limit(100, 1000), CURSOR, *TIME_TRAVEL],
            problems=[400, 404, 500],
        )
    },
    "/internal/v1/batches/{batch_id}/readiness": {
        "get": operation(
            "Why a batch is ready, or is not",
            "Readiness",
            path=["batch_id"],
            query=[query("all", "Name every essay, not the first of each list", {"type": "boolean"})],
            problems=[400, 404],
        )
    },
}
