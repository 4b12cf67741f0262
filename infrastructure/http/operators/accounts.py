"""Routes for operators: the outbox, and whether all accounts agree.

What is new is checked while the request waits. A check of everything is long work: it is begun, and looked at until
it has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.responses.check import Check
from infrastructure.check.background_runs import CheckRun, CheckRuns, RunUnderWayError
from infrastructure.http.bodies import Nothing, body_of
from infrastructure.http.operation import Operation
from infrastructure.http.parameters import limit
from infrastructure.http.problems import Problem
from infrastructure.operations.outbox import Outbox

ReadOutbox = Callable[[int], Awaitable[Outbox]]
"""Takes the most events of each kind to return."""

RunCheck = Callable[[], Awaitable[Check]]
"""Checks what has come since the last check that found everything in order."""

_BASE: Final = "/internal/v1/ops"
_RUNS: Final = f"{_BASE}/check/runs"

LIMIT: Final = limit(20, 500)

OUTBOX: Final = Operation(
    f"{_BASE}/outbox",
    "What is recorded and not yet published, and what was published lately",
    answer=Outbox,
    parameters=[LIMIT],
)
CHECK: Final = Operation(
    f"{_BASE}/check",
    "Whether what came in, is recorded, is shown and went out agrees",
    answer=Check,
    problems=[409],
    description="Looks at what has come since the last check that found everything in order, which is everything where"
    " there was none. POST looks at everything.",
)
BEGIN: Final = Operation(
    f"{_BASE}/check",
    "Begin to check everything",
    method="POST",
    answer=CheckRun,
    status=202,
    problems=[409],
    description="Long work, done by a process beside this one: look at `Location` until `state` is no longer `running`."
    " One run at a time; 409 names the one under way in `Location`. A run is known to the process that answered,"
    " which remembers its last five.",
)
RUN: Final = Operation(
    f"{_RUNS}/{{run_id}}",
    "How a check of everything goes on, and at the end its report",
    answer=CheckRun,
    problems=[404],
)
CANCEL: Final = Operation[None](
    f"{_RUNS}/{{run_id}}/cancel",
    "End a check of everything",
    method="POST",
    problems=[404],
    description="One that has ended stays as it is.",
)
ACCOUNT_OPERATIONS: Final = (OUTBOX, CHECK, BEGIN, RUN, CANCEL)


def account_routes(read_outbox: ReadOutbox, check: RunCheck, runs: CheckRuns) -> list[Route]:
    """Return the routes."""

    async def outbox(request: Request) -> Response:
        return OUTBOX.answered(request, await read_outbox(LIMIT.of(request)))

    async def accounts(request: Request) -> Response:
        return CHECK.answered(request, await check())

    async def begin(request: Request) -> Response:
        await body_of(request, Nothing)
        try:
            run = await runs.begin()
        except RunUnderWayError as error:
            raise Problem(409, str(error), Location=f"{_RUNS}/{error.run_id}") from error
        headers = {"Location": f"{_RUNS}/{run.id}"}
        return BEGIN.answered(request, run, headers=headers)

    async def run(request: Request) -> Response:
        found = runs.find(request.path_params["run_id"])
        if found is None:
            raise _unknown_run()
        return RUN.answered(request, found)

    async def cancel(request: Request) -> Response:
        await body_of(request, Nothing)
        if runs.find(request.path_params["run_id"]) is None:
            raise _unknown_run()
        await runs.cancel(request.path_params["run_id"])
        return Response(status_code=204)

    return [
        OUTBOX.route(outbox),
        CHECK.route(accounts),
        BEGIN.route(begin),
        RUN.route(run),
        CANCEL.route(cancel),
    ]


def _unknown_run() -> Problem:
    return Problem(
        404,
        "This process knows no such run: another one began it, or it was long ago.",
        error="Check run not found",
    )
