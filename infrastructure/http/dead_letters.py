"""Routes for operators: the messages that were put aside."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.queries import DeadLetterQueries
from domain.dead_letters import Reason
from infrastructure.http.problems import Problem
from infrastructure.http.responses import cursor, json_response, whole_number
from projections.dead_letters import PARKED

OPERATOR_SERVICE = "admin-dashboard-service"
"""The one service through which operators look: raw messages are not for everybody."""

_REASONS = [reason.value for reason in Reason] + [PARKED]


def dead_letter_routes(queries: DeadLetterQueries) -> list[Route]:
    """Return the routes that answer from `queries`."""

    async def letters(request: Request) -> Response:
        operators_only(request)
        reason = request.query_params.get("reason") or None
        if reason is not None and reason not in _REASONS:
            raise Problem(400, f"reason must be one of {', '.join(_REASONS)}.")
        body = await queries.letters(
            reason=reason,
            limit=whole_number(request, "limit", 50, lowest=1, highest=500),
            before=cursor(request),
        )
        return json_response(request, body)

    async def letter(request: Request) -> Response:
        operators_only(request)
        given = request.path_params["position"]
        known = given.isascii() and given.isdigit() and len(given) <= 18
        body = await queries.letter(int(given)) if known else None
        if body is None:
            raise Problem(404, "There is no such dead letter.", error="Dead letter not found")
        return json_response(request, body)

    base = "/internal/v1/ops/dead-letters"
    return [Route(base, letters), Route(base + "/{position}", letter)]


def operators_only(request: Request) -> None:
    """Raise Problem 403 for a service that is not the operators' own."""
    if request.headers.get("x-service-id") != OPERATOR_SERVICE:
        raise Problem(403, f"Only {OPERATOR_SERVICE} may do this.")
