"""Routes for operators: streams in which messages wait for a fix of our own code."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.queries import DeadLetterQueries
from infrastructure.http.operators.settle import OperatorActions, operator_id, read_body
from infrastructure.http.responses import id_param, json_response
from infrastructure.http.waiting import Waiting
from projections.dead_letters import dead_letters


def parked_routes(queries: DeadLetterQueries, actions: OperatorActions, waiting: Waiting) -> list[Route]:
    """Return the routes that answer from `queries`, when they are as far as asked, and drain through `actions`."""

    async def parked(request: Request) -> Response:
        await waiting.catch_up(request, dead_letters.name)
        return json_response(request, await queries.parked())

    async def drain(request: Request) -> Response:
        stream_id = id_param(request, "stream_id", error="Invalid stream ID")
        drained = await actions.drain(stream_id, by=operator_id(request, await read_body(request, "by")))
        headers = await waiting.position_header()
        return Response(orjson.dumps(drained.as_json()), headers=headers, media_type="application/json")

    base = "/internal/v1/ops/parked"
    return [Route(base, parked), Route(base + "/{stream_id}/drain", drain, methods=["POST"])]
