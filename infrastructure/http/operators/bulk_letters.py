"""Routes for operators: one request that retries or discards many dead letters.

An order names letters as the list does, by its filters, and says how many the operator has seen (`expected`): where
it is another number by now, nothing happens. A piece of them is settled at a time, oldest first, each letter in a
transaction of its own as by a single order, and each leaves the same trace. `next_cursor` goes on behind the piece,
also behind letters that stay open because they were refused again. Sent twice, an order settles nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.queries import DeadLetterQueries, LetterFilter
from application.responses.dead_letters import NOT_POSSIBLE, LetterOutcome, SettledLetter, SettledLetters
from domain.dead_letters import PARKED, LetterState
from infrastructure.http.bodies import ReasonedForMany, SignedForMany, body_of, operator_of
from infrastructure.http.operation import Operation
from infrastructure.http.operators.actions import OperatorActions
from infrastructure.http.operators.filters import SETTLEABLE_FILTERS, letters_wanted
from infrastructure.http.parameters import CURSOR, Flag, limit
from infrastructure.http.problems import Problem
from infrastructure.http.waiting import AFTER, Waiting
from projections.dead_letters import dead_letters

PIECE: Final = 200
LARGEST_PIECE: Final = 1000
"""Letters: some seconds, within what clients and proxies wait."""

LIMIT: Final = limit(PIECE, LARGEST_PIECE)
ALL: Final = Flag("all", "All that are open, where nothing else is chosen by")
_BASE: Final = "/internal/v1/ops/dead-letters"


def _operation(name: str, summary: str, body: type, description: str) -> Operation[SettledLetters]:
    return Operation(
        f"{_BASE}/{name}",
        summary,
        method="POST",
        body=body,
        answer=SettledLetters,
        parameters=[*SETTLEABLE_FILTERS, ALL, CURSOR, AFTER, LIMIT],
        problems=[409],
        description=f"{description} Choose by at least one filter, or by `all`: 400 otherwise. Those that the list shows for the same filters, a piece at a time, oldest first. `expected` is the"
        " number that the operator has seen there (`settleable`); 409 where it is another by now. While `left` is not 0, go on"
        " with `next_cursor` and `left` as `expected`. With `until` letters that come meanwhile do not count. 409 also where"
        " there are more open letters than are searched for the ids of `batch` or `essay` at once: add another filter.",
    )


RETRY_MANY: Final = _operation(
    "retry",
    "Take the messages of many in again",
    SignedForMany,
    "Each as by a single order; `refused` leaves it open, `not_possible` was settled meanwhile.",
)
DISCARD_MANY: Final = _operation(
    "discard", "Give the messages of many up", ReasonedForMany, "They stay in the history."
)
BULK_OPERATIONS: Final = (RETRY_MANY, DISCARD_MANY)

_Settle = Callable[[str], Awaitable[LetterOutcome]]


def bulk_letter_routes(queries: DeadLetterQueries, actions: OperatorActions, waiting: Waiting) -> list[Route]:
    """Return the routes that choose from `queries`, when they are as far as asked, and change through `actions`."""

    async def retry(request: Request) -> Response:
        body = await body_of(request, SignedForMany)
        by = operator_of(request, body)

        async def again(stream_id: str) -> LetterOutcome:
            retried = await actions.retry(stream_id, by=by)
            return {"outcome": retried.outcome, "reason": retried.reason, "detail": retried.detail}

        return await _piece(request, RETRY_MANY, body["expected"], again)

    async def discard(request: Request) -> Response:
        body = await body_of(request, ReasonedForMany)
        by = operator_of(request, body)

        async def give_up(stream_id: str) -> LetterOutcome:
            await actions.discard(stream_id, by=by, why=body["why"])
            return {"outcome": LetterState.DISCARDED, "reason": None, "detail": None}

        return await _piece(request, DISCARD_MANY, body["expected"], give_up)

    async def _piece(
        request: Request, order: Operation[SettledLetters], expected: int, settle: _Settle
    ) -> Response:
        wanted = _chosen(request)
        await waiting.catch_up(request, dead_letters.name)
        number, letters, is_complete = await queries.settleable(
            wanted, after=CURSOR.of(request) or 0, limit=LIMIT.of(request)
        )
        if not is_complete:
            raise Problem(
                409,
                "There are more open letters than are searched for ids at once. Nothing was changed."
                " Choose by reason, topic, since or until too.",
            )
        if number != expected:
            raise Problem(
                409,
                f"You expected {expected:,} open letters, there are {number:,} by now. Nothing was changed.",
            )
        done: list[SettledLetter] = []
        for letter in letters:
            outcome: LetterOutcome
            try:
                outcome = await settle(letter["stream_id"])
            except Problem as refusal:
                outcome = {"outcome": NOT_POSSIBLE, "reason": None, "detail": refusal.detail}
            done.append({"position": letter["position"], **outcome})
        left = number - len(done)
        answer: SettledLetters = {
            "outcomes": Counter(str(each["outcome"]) for each in done),
            "letters": done,
            "left": left,
            "next_cursor": str(done[-1]["position"]) if left else None,
        }
        return order.answered(request, answer, headers=await waiting.position_header())

    def _chosen(request: Request) -> LetterFilter:
        wanted = letters_wanted(request)
        if wanted.reason == PARKED:
            raise Problem(400, "Parked messages are drained in order: POST …/ops/parked/{stream_id}/drain.")
        if ALL.of(request) == wanted.is_narrow:
            raise Problem(400, "Choose by reason, topic, since, until, batch, essay, or take all=true.")
        return wanted

    return [RETRY_MANY.route(retry), DISCARD_MANY.route(discard)]
