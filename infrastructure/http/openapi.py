"""The API's description: OpenAPI 3.1 at `/openapi.json`, and a page that lists it at `/docs`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.metadata import version
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from domain.dead_letters import Reason
from domain.values import BatchStatus
from infrastructure.http.enrichment import ASSESSMENT
from infrastructure.http.schemas import SCHEMAS
from projections.dead_letters import PARKED

_PROBLEMS: Final = {
    400: "A value makes no sense",
    401: "Headers are missing or not accepted",
    403: "Not for this service",
    404: "Not known",
    503: "The database is away; try again after `Retry-After` seconds",
}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_ETAG: Final = {
    "name": "If-None-Match",
    "in": "header",
    "description": "An ETag got before; 304 when nothing changed",
    "schema": {"type": "string"},
}
_CURSOR: Final = _query(
    "cursor", "`next_cursor` of the page before", {"type": "string", "pattern": "^[0-9]{1,18}$"}
)
_INCLUDE: Final = _query(
    "include",
    "What else to tell: what the assessment app knows. Where it is slow or away, `assessment` says so",
    {"type": "string", "enum": [ASSESSMENT]},
)
_REASONS: Final = [reason.value for reason in Reason] + [PARKED]


def _limit(default: int, highest: int) -> dict[str, Any]:
    return _query("limit", "At most this many", {"type": "integer", "default": default, "maximum": highest})


def _operation(
    summary: str,
    schema: str | None,
    *,
    path: Sequence[str] = (),
    query: Sequence[dict[str, Any]] = (),
    problems: Sequence[int] = (),
    description: str = "",
) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "maxLength": 255}}
        for name in path
    ]
    if schema is None:
        responses: dict[str, Any] = {"204": {"description": "Done"}}
    else:
        parameters.append(_ETAG)
        responses = {
            "200": {
                "description": "The answer",
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
            },
            "304": {"description": "Not modified"},
        }
    for status in (401, *problems, 503):
        responses[str(status)] = {
            "description": _PROBLEMS[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return {
        "summary": summary,
        "description": description,
        "parameters": [*parameters, *query, {"$ref": "#/components/parameters/CorrelationId"}],
        "responses": responses,
        "security": [{"key": [], "service": []}],
    }


def _open(
    summary: str, media_type: str, schema: dict[str, Any], *, also: Sequence[int] = ()
) -> dict[str, Any]:
    content = {media_type: {"schema": schema}}
    responses = {str(status): {"description": summary, "content": content} for status in (200, *also)}
    return {"summary": summary, "responses": responses, "security": []}


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    statuses = [status.value for status in BatchStatus]
    health = {"$ref": "#/components/schemas/Health"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Result Aggregator Service",
            "version": version("result-aggregator-service"),
            "description": "How a batch of essays stands.",
        },
        "paths": {
            "/internal/v1/batches/{batch_id}/status": {
                "get": _operation(
                    "How a batch stands",
                    "BatchStatus",
                    path=["batch_id"],
                    query=[_INCLUDE],
                    problems=[400, 404],
                )
            },
            "/internal/v1/batches/user/{user_id}": {
                "get": _operation(
                    "A user's batches, newest first",
                    "UserBatches",
                    path=["user_id"],
                    query=[
                        _limit(20, 100),
                        _query(
                            "offset", "Leave out this many", {"type": "integer", "default": 0, "minimum": 0}
                        ),
                        _query("status", "Only batches of this status", {"type": "string", "enum": statuses}),
                    ],
                    problems=[400],
                    description="A limit or offset that is no number falls back to its default.",
                )
            },
            "/internal/v1/essays/{essay_id}/aggregated-analysis": {
                "get": _operation(
                    "Everything known of an essay",
                    "EssayAnalysis",
                    path=["essay_id"],
                    query=[_INCLUDE],
                    problems=[400, 404],
                )
            },
            "/internal/v1/teachers/{teacher_id}/notifications": {
                "get": _operation(
                    "A teacher's inbox, newest first",
                    "Notifications",
                    path=["teacher_id"],
                    query=[
                        _limit(20, 100),
                        _CURSOR,
                        _query("unread", "Only unread ones", {"type": "boolean"}),
                    ],
                    problems=[400],
                )
            },
            "/internal/v1/teachers/{teacher_id}/notifications/{notification_id}/read": {
                "post": _operation(
                    "Mark a notification as read",
                    None,
                    path=["teacher_id", "notification_id"],
                    problems=[400, 404],
                    description="Again changes nothing. The inbox shows it as soon as the projection has it.",
                )
            },
            "/internal/v1/ops/dead-letters": {
                "get": _operation(
                    "Messages that were put aside, newest first",
                    "DeadLetters",
                    query=[
                        _limit(50, 500),
                        _CURSOR,
                        _query("reason", "Only of this reason", {"type": "string", "enum": _REASONS}),
                    ],
                    problems=[400, 403],
                )
            },
            "/internal/v1/ops/dead-letters/{position}": {
                "get": _operation(
                    "One of them, with its bytes", "DeadLetter", path=["position"], problems=[403, 404]
                )
            },
            "/healthz": {
                "get": _open("Health, as upstream asks for it", "application/json", health, also=[503])
            },
            "/healthz/live": {"get": _open("The process lives", "application/json", health)},
            "/healthz/ready": {"get": _open("Ready, with reasons", "application/json", health, also=[503])},
            "/metrics": {"get": _open("Prometheus metrics", "text/plain", {"type": "string"})},
        },
        "components": {
            "schemas": SCHEMAS,
            "parameters": {
                "CorrelationId": {
                    "name": "X-Correlation-ID",
                    "in": "header",
                    "description": "Taken over where sane, made up where missing, and answered",
                    "schema": {"type": "string"},
                }
            },
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-Internal-API-Key"},
                "service": {"type": "apiKey", "in": "header", "name": "X-Service-ID"},
            },
        },
    }


def documentation_routes() -> list[Route]:
    """Return `/openapi.json` and `/docs`."""
    document = openapi_document()
    content, page = orjson.dumps(document), _page(document)

    async def openapi(_request: Request) -> Response:
        return Response(content, media_type="application/json")

    async def docs(_request: Request) -> Response:
        return HTMLResponse(page)

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


def _page(document: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(operation['summary'])}</td></tr>"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "td{padding:.3rem .8rem .3rem 0;vertical-align:top}</style>"
        f"<h1>{title}</h1><p>Version {escape(document['info']['version'])}. The whole description is at "
        '<a href="/openapi.json">/openapi.json</a>. Addresses under <code>/internal/</code> ask for the headers '
        "<code>X-Internal-API-Key</code> and <code>X-Service-ID</code>.</p>"
        f"<table>{rows}</table></html>"
    )
