"""The query API's description."""

from __future__ import annotations

from typing import Any, Final

from domain.values import BatchStatus
from infrastructure.http.openapi import CURSOR, document, limit, operation, query
from infrastructure.http.operators.operations_openapi import OPERATION_PATHS
from infrastructure.http.operators.settle_openapi import OPERATOR_PATHS
from infrastructure.http.query.enrichment import ASSESSMENT
from infrastructure.http.query.history_openapi import HISTORY_PATHS, TIME_TRAVEL
from infrastructure.http.query.schemas import SCHEMAS
from infrastructure.http.waiting_openapi import AFTER, PREFER, WAIT

_INCLUDE: Final = query(
    "include",
    "What else to tell: what the assessment app knows. Where it is slow or away, `assessment` says so",
    {"type": "string", "enum": [ASSESSMENT]},
)


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the query API."""
    statuses = [status.value for status in BatchStatus]
    return document(
        title="Result Aggregator Service",
        description="How a batch of essays stands.",
        schemas=SCHEMAS,
        paths={
            "/internal/v1/batches/{batch_id}/status": {
                "get": operation(
                    "How a batch stands, or stood",
                    "BatchStatus",
                    path=["batch_id"],
                    query=[_INCLUDE, *TIME_TRAVEL, AFTER, WAIT, PREFER],
                    problems=[400, 404, 500],
                )
            },
            **HISTORY_PATHS,
            "/internal/v1/batches/user/{user_id}": {
                "get": operation(
                    "A user's batches, newest first",
                    "UserBatches",
                    path=["user_id"],
                    query=[
                        limit(20, 100),
                        query(
                            "offset", "Leave out this many", {"type": "integer", "default": 0, "minimum": 0}
                        ),
                        query("status", "Only batches of this status", {"type": "string", "enum": statuses}),
                        AFTER,
                    ],
                    problems=[400],
                    description="A limit or offset that is no number falls back to its default.",
                )
            },
            "/internal/v1/essays/{essay_id}/aggregated-analysis": {
                "get": operation(
                    "Everything known of an essay",
                    "EssayAnalysis",
                    path=["essay_id"],
                    query=[_INCLUDE, AFTER],
                    problems=[400, 404],
                )
            },
            "/internal/v1/teachers/{teacher_id}/notifications": {
                "get": operation(
                    "A teacher's inbox, newest first",
                    "Notifications",
                    path=["teacher_id"],
                    query=[
                        limit(20, 100),
                        CURSOR,
                        query("unread", "Only unread ones", {"type": "boolean"}),
                        AFTER,
                    ],
                    problems=[400],
                )
            },
            "/internal/v1/teachers/{teacher_id}/notifications/{notification_id}/read": {
                "post": operation(
                    "Mark a notification as read",
                    None,
                    path=["teacher_id", "notification_id"],
                    problems=[400, 404],
                    description="Again changes nothing. The inbox shows it as soon as the projection has it; `?after=` with the"
                    " `RAS-Position` of this answer waits for that.",
                )
            },
            **OPERATOR_PATHS,
            **OPERATION_PATHS,
        },
    )
