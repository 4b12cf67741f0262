"""An API's description, made from its operations: OpenAPI 3.1 at `/openapi.json`, a page that lists it at `/docs`."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.metadata import version
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from application.responses.service import Problem
from infrastructure.http.binding import LONGEST_NAME
from infrastructure.http.browser_headers import CURRENT, NOTHING_ALLOWED
from infrastructure.http.health import HEALTH_OPERATIONS
from infrastructure.http.json_schema import components
from infrastructure.http.on_behalf import HEADER
from infrastructure.http.operation import Operation
from infrastructure.http.parameters import Header

_ON_BEHALF_OF = Header(
    HEADER,
    "The teacher for whom the service asks: what is another's is answered with 403 or 404. The teacher's token in"
    " `Authorization: Bearer` does the same",
    {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_NAME,
        "pattern": r"\S",
        "examples": ["teacher-0007"],
    },
)
_CORRELATION = Header("X-Correlation-ID", "Taken over where sane, made up where missing, and answered")


def document(
    *, title: str, description: str, operations: Sequence[Operation[Any]], also: Sequence[type] = ()
) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document: `operations`, health and metrics, and how callers show who they are.

    `also`: types that are described besides those that operations answer.
    """
    every = [*operations, *HEALTH_OPERATIONS]
    paths: dict[str, dict[str, Any]] = {}
    for operation in every:
        paths.setdefault(operation.path, {})[operation.method.lower()] = operation.described()
    answers = [operation.answer for operation in every if operation.answer is not None]
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("result-aggregator-service"), "description": description},
        "paths": paths,
        "components": {
            "schemas": components([*answers, *also, Problem]),
            "parameters": {
                "CorrelationId": _CORRELATION.described(),
                "OnBehalfOf": _ON_BEHALF_OF.described(),
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
        return Response(content, media_type="application/json", headers=CURRENT)

    async def docs(_request: Request) -> Response:
        return HTMLResponse(page, headers=CURRENT | {"Content-Security-Policy": _POLICY})

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "td{padding:.3rem .8rem .3rem 0;vertical-align:top}"
)
_POLICY: Final = (
    f"{NOTHING_ALLOWED}; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
)


def _page(described: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{method.upper()}</td><td><code>{escape(path)}</code></td><td>{escape(operation['summary'])}</td></tr>"
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    )
    title = escape(described["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>Version {escape(described['info']['version'])}. The whole description is at "
        '<a href="/openapi.json">/openapi.json</a>. Addresses under <code>/internal/</code> ask for the headers '
        "<code>X-Internal-API-Key</code> and <code>X-Service-ID</code>.</p>"
        f"<table>{rows}</table></html>"
    )
