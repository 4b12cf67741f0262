"""What the descriptions of our APIs share: OpenAPI 3.1 at `/openapi.json`, a page that lists it at `/docs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

JSON: Final = "application/json"
_PROBLEMS: Final = {
    400: "A value makes no sense, or a parameter is not known or given twice",
    401: "Headers are missing or not accepted",
    403: "Not for this service",
    404: "Not known",
    500: "What is recorded cannot be read by this release",
    409: "Something else is under way; try again later",
    503: "The database is away, or what answers is not yet as far as asked; try again after `Retry-After` seconds",
}


def schema_reference(name: str) -> dict[str, Any]:
    """Refer to a schema of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a parameter of the query."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


_ETAG: Final = {
    "name": "If-None-Match",
    "in": "header",
    "description": "An ETag got before; 304 when nothing changed",
    "schema": {"type": "string"},
}
CURSOR: Final = query(
    "cursor", "`next_cursor` of the page before", {"type": "string", "pattern": "^[0-9]{1,18}$"}
)


def limit(default: int, highest: int) -> dict[str, Any]:
    """Describe how many a page has."""
    return query("limit", "At most this many", {"type": "integer", "default": default, "maximum": highest})


def operation(
    summary: str,
    schema: str | None,
    *,
    path: Sequence[str] = (),
    query: Sequence[dict[str, Any]] = (),
    problems: Sequence[int] = (),
    description: str = "",
    media_types: Sequence[str] = (JSON,),
) -> dict[str, Any]:
    """Describe a call that asks for key and service id. No `schema`: it answers nothing.

    `media_types`: JSON as `schema` says, anything else as text.
    """
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
                "content": {
                    kind: {"schema": schema_reference(schema) if kind == JSON else {"type": "string"}}
                    for kind in media_types
                },
            },
            "304": {"description": "Not modified"},
        }
    for status in sorted({400, 401, *problems, 503}):
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


def open_operation(
    summary: str, media_type: str, schema: dict[str, Any], *, also: Sequence[int] = ()
) -> dict[str, Any]:
    """Describe a call that asks for no key."""
    content = {media_type: {"schema": schema}}
    responses = {str(status): {"description": summary, "content": content} for status in (200, *also)}
    return {"summary": summary, "responses": responses, "security": []}


def document(
    *, title: str, description: str, paths: Mapping[str, Any], schemas: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document: `paths`, health and metrics, and how callers show who they are."""
    health = schema_reference("Health")
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("result-aggregator-service"), "description": description},
        "paths": {
            **paths,
            "/healthz": {
                "get": open_operation(
                    "Health, as upstream asks for it", "application/json", health, also=[503]
                )
            },
            "/healthz/live": {"get": open_operation("The process lives", "application/json", health)},
            "/healthz/ready": {
                "get": open_operation("Ready, with reasons", "application/json", health, also=[503])
            },
            "/metrics": {"get": open_operation("Prometheus metrics", "text/plain", {"type": "string"})},
        },
        "components": {
            "schemas": schemas,
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


def documentation_routes(described: dict[str, Any]) -> list[Route]:
    """Return `/openapi.json` and `/docs` for a document."""
    content, page = orjson.dumps(described), _page(described)

    async def openapi(_request: Request) -> Response:
        return Response(content, media_type="application/json")

    async def docs(_request: Request) -> Response:
        return HTMLResponse(page)

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


def _page(described: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(operation['summary'])}</td></tr>"
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    )
    title = escape(described["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "td{padding:.3rem .8rem .3rem 0;vertical-align:top}</style>"
        f"<h1>{title}</h1><p>Version {escape(described['info']['version'])}. The whole description is at "
        '<a href="/openapi.json">/openapi.json</a>. Addresses under <code>/internal/</code> ask for the headers '
        "<code>X-Internal-API-Key</code> and <code>X-Service-ID</code>.</p>"
        f"<table>{rows}</table></html>"
    )
