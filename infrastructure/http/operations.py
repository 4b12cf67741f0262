"""Routes for operators: the outbox, and whether all accounts agree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infrastructure.http.responses import json_response, whole_number

ReadOutbox = Callable[[int], Awaitable[dict[str, Any]]]
"""Takes the most events of each kind to return."""

Check = Callable[[], Awaitable[dict[str, Any]]]
"""Checks what has come since the last check that found everything in order."""


def operation_routes(read_outbox: ReadOutbox, check: Check) -> list[Route]:
    """Return the routes."""

    async def outbox(request: Request) -> Response:
        limit = whole_number(request, "limit", 20, lowest=1, highest=500)
        return json_response(request, await read_outbox(limit))

    async def accounts(request: Request) -> Response:
        return json_response(request, await check())

    base = "/internal/v1/ops"
    return [Route(f"{base}/outbox", outbox), Route(f"{base}/check", accounts)]
