"""Routes for operators: dead letters."""

from __future__ import annotations

from base64 import b64decode
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.letter_filter import SELECTABLE_STATES
from application.queries import DeadLetterQueries
from application.responses.dead_letters import DeadLetter, DeadLetters, Replaced
from application.settle import Retried
from domain.dead_letters import PARKED
from infrastructure.http.bodies import Correction, Reasoned, Signed, body_of, operator_of
from infrastructure.http.operation import Operation
from infrastructure.http.operators.actions import OperatorActions
from infrastructure.http.operators.bulk_letters import BULK_OPERATIONS, bulk_letter_routes
from infrastructure.http.operators.filters import FILTERS, letters_wanted
from infrastructure.http.parameters import CURSOR, Parameter, limit
from infrastructure.http.problems import Problem
from infrastructure.http.waiting import AFTER, Waiting
from projections.dead_letters import dead_letters

LIMIT: Final = limit(50, 500)
STATE: Final = Parameter(
    "state", "Only in this state", {"type": "string", "enum": [*SELECTABLE_STATES], "default": "open"}
)
_BASE: Final = "/internal/v1/ops/dead-letters"

LETTERS: Final = Operation(
    _BASE,
    "Dead letters, newest first",
    answer=DeadLetters,
    parameters=[LIMIT, CURSOR, AFTER, *FILTERS, STATE],
)
LETTER: Final = Operation(
    _BASE + "/{position}",
    "One of them, with its bytes",
    answer=DeadLetter,
    parameters=[AFTER],
    problems=[404],
)
RETRY: Final = Operation(
    _BASE + "/{position}/retry",
    "Ingest its message again",
    method="POST",
    body=Signed,
    answer=Retried,
    problems=[404, 409],
    description="It is ingested in the ordinary way, once. 409: it was settled before. `refused` leaves it open. "
    "`by` names the operator; the default is the calling service.",
)
REPLACE: Final = Operation(
    _BASE + "/{position}/replace",
    "Ingest a corrected message in its place",
    method="POST",
    body=Correction,
    answer=Replaced,
    problems=[404, 409, 422],
    description="`value` is the corrected message in base64. It is ingested with the letter's topic, key and headers. "
    "The letter is settled then, and both messages stay in the history. 422: the corrected message is refused too, "
    "and nothing has changed.",
)
DISCARD: Final = Operation[None](
    _BASE + "/{position}/discard",
    "Discard it",
    method="POST",
    body=Reasoned,
    problems=[404, 409],
    description="It is not offered again and stays in the history.",
)
DEAD_LETTER_OPERATIONS: Final = (LETTERS, LETTER, RETRY, REPLACE, DISCARD, *BULK_OPERATIONS)


def dead_letter_routes(queries: DeadLetterQueries, actions: OperatorActions, waiting: Waiting) -> list[Route]:
    """Return the routes that answer from `queries`, when they are as far as asked, and change through `actions`."""

    async def letters(request: Request) -> Response:
        wanted = letters_wanted(request, state=STATE.text(request))
        await waiting.catch_up(request, dead_letters.name)
        page = await queries.letters(
            wanted,
            limit=LIMIT.of(request),
            before=CURSOR.of(request),
        )
        settleable = await queries.settleable(wanted, after=0, limit=1)
        return LETTERS.answered(request, {**page, "settleable": settleable.number})

    async def letter(request: Request) -> Response:
        await waiting.catch_up(request, dead_letters.name)
        return LETTER.answered(request, await _named(request))

    async def retry(request: Request) -> Response:
        body = await body_of(request, Signed)
        found = a_letter(await _named(request))
        retried = await actions.retry(found["stream_id"], by=operator_of(request, body))
        return RETRY.answered(request, retried, headers=await waiting.position_header())

    async def replace(request: Request) -> Response:
        body = await body_of(request, Correction)
        found = a_letter(await _named(request))
        outcome = await actions.replace(
            found["stream_id"], b64decode(body["value"]), by=operator_of(request, body), why=body["why"]
        )
        return REPLACE.answered(request, {"outcome": outcome}, headers=await waiting.position_header())

    async def discard(request: Request) -> Response:
        body = await body_of(request, Reasoned)
        found = a_letter(await _named(request))
        await actions.discard(found["stream_id"], by=operator_of(request, body), why=body["why"])
        return Response(status_code=204, headers=await waiting.position_header())

    async def _named(request: Request) -> DeadLetter:
        given = request.path_params["position"]
        known = given.isascii() and given.isdigit() and len(given) <= 18
        body = await queries.letter(int(given)) if known else None
        if body is None:
            raise Problem(404, "There is no such dead letter.", error="Dead letter not found")
        return body

    return [
        LETTERS.route(letters),
        *bulk_letter_routes(queries, actions, waiting),
        LETTER.route(letter),
        RETRY.route(retry),
        REPLACE.route(replace),
        DISCARD.route(discard),
    ]


def a_letter(found: DeadLetter) -> DeadLetter:
    """Return `found`. Raises Problem 409 where it is a parked message, which is drained and not settled."""
    if found["reason"] == PARKED:
        raise Problem(409, f"This message waits in its stream: drain {found['stream_id']}, in order.")
    return found
