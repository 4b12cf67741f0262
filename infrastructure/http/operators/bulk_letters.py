"""Routes for operators: many letters tried again, or given up, by one order.

An order names letters as the list does, by its filters, and says how many the operator has seen (`expected`): where
it is another number by now, nothing happens. A piece of them is settled at a time, oldest first, each letter in a
transaction of its own as by a single order, and each leaves the same trace. `next_cursor` goes on behind the piece,
also behind letters that stay open because they were refused again. Sent twice, an order settles nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.queries import DeadLetterQueries, LetterFilter
from domain.dead_letters import PARKED, LetterState
from infrastructure.http.operators.settle import OperatorActions, operator_id, read_body, short_text
from infrastructure.http.problems import Problem
from infrastructure.http.responses import bool_param, cursor, int_param
from infrastructure.http.waiting import Waiting
from projections.dead_letters import dead_letters

NOT_POSSIBLE: Final = "not_possible"
"""The outcome of a letter that somebody else has settled meanwhile, or that this release cannot read."""

PIECE: Final = 200
LARGEST_PIECE: Final = 1000
"""Letters: some seconds, within what clients and proxies wait."""

_Settle = Callable[[str], Awaitable[dict[str, Any]]]


def bulk_letter_routes(
    queries: DeadLetterQueries,
    actions: OperatorActions,
    waiting: Waiting,
    wanted_by: Callable[[Request], LetterFilter],
) -> list[Route]:
    """Return the routes; `wanted_by` reads the filters that a request's query names."""

    async def retry(request: Request) -> Response:
        body = await read_body(request, "by", "expected")
        by = operator_id(request, body)

        async def again(stream_id: str) -> dict[str, Any]:
            retried = await actions.retry(stream_id, by=by)
            return {"outcome": retried.outcome, "reason": retried.reason, "detail": retried.detail}

        return await _piece(request, body, again)

    async def discard(request: Request) -> Response:
        body = await read_body(request, "by", "expected", "why")
        by, why = operator_id(request, body), short_text(body, "why")

        async def give_up(stream_id: str) -> dict[str, Any]:
            await actions.discard(stream_id, by=by, why=why)
            return {"outcome": LetterState.DISCARDED, "reason": None, "detail": None}

        return await _piece(request, body, give_up)

    async def _piece(request: Request, body: dict[str, Any], settle: _Settle) -> Response:
        wanted, expected = _chosen(request), _expected(body)
        limit = int_param(request, "limit", PIECE, lowest=1, highest=LARGEST_PIECE)
        await waiting.catch_up(request, dead_letters.name)
        number, letters = await queries.settleable(wanted, after=cursor(request) or 0, limit=limit)
        if number != expected:
            raise Problem(
                409,
                f"You expected {expected:,} open letters, there are {number:,} by now. Nothing was changed.",
            )
        done: list[dict[str, Any]] = []
        for letter in letters:
            try:
                outcome = await settle(letter["stream_id"])
            except Problem as refusal:
                outcome = {"outcome": NOT_POSSIBLE, "reason": None, "detail": refusal.detail}
            done.append({"position": letter["position"], **outcome})
        left = number - len(done)
        answer = {
            "outcomes": Counter(str(each["outcome"]) for each in done),
            "letters": done,
            "left": left,
            "next_cursor": str(done[-1]["position"]) if left else None,
        }
        headers = await waiting.position_header()
        return Response(orjson.dumps(answer), headers=headers, media_type="application/json")

    def _chosen(request: Request) -> LetterFilter:
        wanted = wanted_by(request)
        if wanted.state != LetterState.OPEN:
            raise Problem(400, "Only open letters can be settled: leave state out.")
        if wanted.reason == PARKED:
            raise Problem(400, "Parked messages are drained in order: POST …/ops/parked/{stream_id}/drain.")
        if bool_param(request, "all") == any((wanted.reason, wanted.topic, wanted.since, wanted.until)):
            raise Problem(400, "Choose by reason, topic, since, until, or take all=true.")
        return wanted

    base = "/internal/v1/ops/dead-letters"
    return [
        Route(f"{base}/retry", retry, methods=["POST"]),
        Route(f"{base}/discard", discard, methods=["POST"]),
    ]


def _expected(body: dict[str, Any]) -> int:
    expected = body.get("expected")
    if not isinstance(expected, int) or isinstance(expected, bool) or expected < 0:
        raise Problem(400, "expected must say how many open letters you have seen: `settleable` of the list.")
    return expected
