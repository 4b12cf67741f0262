"""Routes for operators: the messages that were put aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.letter_filter import ImpossibleFilterError, letter_filter
from application.queries import DeadLetterQueries, LetterFilter
from domain.dead_letters import PARKED
from infrastructure.http.operators.bulk_letters import bulk_letter_routes
from infrastructure.http.operators.settle import OperatorActions, operator_id, read_body, short_text
from infrastructure.http.problems import Problem
from infrastructure.http.responses import cursor, int_param, json_response
from infrastructure.http.waiting import Waiting
from projections.dead_letters import dead_letters


def dead_letter_routes(queries: DeadLetterQueries, actions: OperatorActions, waiting: Waiting) -> list[Route]:
    """Return the routes that answer from `queries`, when they are as far as asked, and change through `actions`."""

    async def letters(request: Request) -> Response:
        wanted = _wanted(request)
        await waiting.catch_up(request, dead_letters.name)
        page = await queries.letters(
            wanted,
            limit=int_param(request, "limit", 50, lowest=1, highest=500),
            before=cursor(request),
        )
        settleable, _ = await queries.settleable(wanted, after=0, limit=1)
        return json_response(request, {**page, "settleable": settleable})

    async def letter(request: Request) -> Response:
        await waiting.catch_up(request, dead_letters.name)
        return json_response(request, await _named(request))

    async def retry(request: Request) -> Response:
        body = await read_body(request, "by")
        found = _a_letter(await _named(request))
        retried = await actions.retry(found["stream_id"], by=operator_id(request, body))
        answer = {"outcome": retried.outcome, "reason": retried.reason, "detail": retried.detail}
        headers = await waiting.position_header()
        return Response(orjson.dumps(answer), headers=headers, media_type="application/json")

    async def discard(request: Request) -> Response:
        body = await read_body(request, "by", "why")
        found = _a_letter(await _named(request))
        await actions.discard(found["stream_id"], by=operator_id(request, body), why=short_text(body, "why"))
        return Response(status_code=204, headers=await waiting.position_header())

    async def _named(request: Request) -> Mapping[str, Any]:
        given = request.path_params["position"]
        known = given.isascii() and given.isdigit() and len(given) <= 18
        body = await queries.letter(int(given)) if known else None
        if body is None:
            raise Problem(404, "There is no such dead letter.", error="Dead letter not found")
        return body

    base = "/internal/v1/ops/dead-letters"
    return [
        Route(base, letters),
        *bulk_letter_routes(queries, actions, waiting, _wanted),
        Route(base + "/{position}", letter),
        Route(base + "/{position}/retry", retry, methods=["POST"]),
        Route(base + "/{position}/discard", discard, methods=["POST"]),
    ]


def _a_letter(found: Mapping[str, Any]) -> Mapping[str, Any]:
    if found["reason"] == PARKED:
        raise Problem(409, f"This message waits in its stream: drain {found['stream_id']}, in order.")
    return found


def _wanted(request: Request) -> LetterFilter:
    asked = {name: request.query_params.get(name) for name in ("reason", "topic", "since", "until")}
    try:
        return letter_filter(**asked, state=request.query_params.get("state", ""))
    except ImpossibleFilterError as error:
        raise Problem(400, f"{error.name}: {error}.") from error
