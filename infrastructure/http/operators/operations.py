"""Routes for operators: the outbox, and whether all accounts agree.

What is new is checked while the request waits. A check of everything is long work: it is begun, and looked at until
it has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infrastructure.check.background_runs import CheckRuns, RunUnderWayError
from infrastructure.http.operators.settle import read_body
from infrastructure.http.problems import Problem
from infrastructure.http.responses import int_param, json_response

ReadOutbox = Callable[[int], Awaitable[dict[str, Any]]]
"""Takes the most events of each kind to return."""

Check = Callable[[], Awaitable[dict[str, Any]]]
"""Checks what has come since the last check that found everything in order."""

_BASE: Final = "/internal/v1/ops"
_RUNS: Final = f"{_BASE}/check/runs"


def operation_routes(read_outbox: ReadOutbox, check: Check, runs: CheckRuns) -> list[Route]:
    """Return the routes."""

    async def outbox(request: Request) -> Response:
        limit = int_param(request, "limit", 20, lowest=1, highest=500)
        return json_response(request, await read_outbox(limit))

    async def accounts(request: Request) -> Response:
        return json_response(request, await check())

    async def begin(request: Request) -> Response:
        await read_body(request)
        try:
            run = await runs.begin()
        except RunUnderWayError as error:
            raise Problem(409, str(error), Location=f"{_RUNS}/{error.run_id}") from error
        headers = {"Location": f"{_RUNS}/{run.id}"}
        return Response(orjson.dumps(run.as_json()), 202, headers=headers, media_type="application/json")

    async def run(request: Request) -> Response:
        found = runs.find(request.path_params["run_id"])
        if found is None:
            raise _unknown_run()
        return json_response(request, found.as_json())

    async def cancel(request: Request) -> Response:
        await read_body(request)
        if runs.find(request.path_params["run_id"]) is None:
            raise _unknown_run()
        await runs.cancel(request.path_params["run_id"])
        return Response(status_code=204)

    return [
        Route(f"{_BASE}/outbox", outbox),
        Route(f"{_BASE}/check", accounts),
        Route(f"{_BASE}/check", begin, methods=["POST"]),
        Route(f"{_RUNS}/{{run_id}}", run),
        Route(f"{_RUNS}/{{run_id}}/cancel", cancel, methods=["POST"]),
    ]


def _unknown_run() -> Problem:
    return Problem(
        404,
        "This process knows no such run: another one began it, or it was long ago.",
        error="Check run not found",
    )
