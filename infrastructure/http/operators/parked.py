"""Routes for operators: streams in which messages wait for a fix of RAS's code, or to be published."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.queries import DeadLetterQueries
from application.responses.dead_letters import Drained, Parked
from infrastructure.http.bodies import Signed, body_of, operator_of
from infrastructure.http.operation import Operation
from infrastructure.http.operators.actions import OperatorActions
from infrastructure.http.parameters import id_of
from infrastructure.http.waiting import AFTER, Waiting
from projections.dead_letters import dead_letters

_BASE: Final = "/internal/v1/ops/parked"

PARKED: Final = Operation(
    _BASE,
    "Streams in which messages wait for a fix of our own code, and messages that their topic refuses",
    answer=Parked,
    parameters=[AFTER],
    description="`parked` is drained by this API after the fix. `unsent` goes out by itself when max.message.bytes of its "
    "topic is raised.",
)
DRAIN: Final = Operation(
    _BASE + "/{stream_id}/drain",
    "Take in what waits in a stream, in order, once",
    method="POST",
    body=Signed,
    answer=Drained,
    problems=[404, 409],
    description="Stops at a message on which our code fails still; it and all behind it wait on. 409 when "
    "this release cannot read the stream.",
)
PARKED_OPERATIONS: Final = (PARKED, DRAIN)


def parked_routes(queries: DeadLetterQueries, actions: OperatorActions, waiting: Waiting) -> list[Route]:
    """Return the routes that answer from `queries`, when they are as far as asked, and drain through `actions`."""

    async def parked(request: Request) -> Response:
        await waiting.catch_up(request, dead_letters.name)
        return PARKED.answered(request, await queries.parked())

    async def drain(request: Request) -> Response:
        stream_id = id_of(request, "stream_id", error="Invalid stream ID")
        by = operator_of(request, await body_of(request, Signed))
        drained = await actions.drain(stream_id, by=by)
        return DRAIN.answered(request, drained.as_json(), headers=await waiting.position_header())

    return [PARKED.route(parked), DRAIN.route(drain)]
