"""Routes about the past: what happened to a batch, how it stood, and why it is ready or not.

They read the event store, and fold what may be a hundred thousand events. That is done on threads, few at a
time, because each takes the interpreter from the event loop that everybody else waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.explanation import ExplainReadiness
from application.history import BatchHistory, UnknownBatchError, UnreadableEventError
from application.put_aside import not_searched, put_aside, sentences
from application.queries import DeadLetterQueries, LetterFilter
from application.responses import history as responses
from application.time_travel import By, moment
from domain.dead_letters import LetterState
from domain.narrative import NAMED
from infrastructure.gc_pacing import gc_paused
from infrastructure.http.operation import Operation
from infrastructure.http.parameters import CURSOR, Choice, Flag, Parameter, id_of, limit
from infrastructure.http.problems import Problem
from infrastructure.http.responses import json_response
from infrastructure.postgres.read_models import ReadModelUnavailableError

INVALID_BATCH_ID: Final = "Invalid batch ID"
_FOLDS_AT_ONCE: Final = 2

LIMIT: Final = limit(100, 1000)
ALL: Final = Flag("all", "Name every essay, not the first of each list")
AS_OF: Final = Parameter(
    "as_of",
    "Only what counts at this time (RFC 3339, with its zone)",
    {"type": "string", "format": "date-time"},
)
BY: Final = Choice(
    "by", "Which time counts: when RAS recorded it, or when it happened; goes with `as_of`", By
)

HISTORY: Final = Operation(
    "/internal/v1/batches/{batch_id}/history",
    "What happened to a batch, event by event",
    answer=responses.History,
    parameters=[LIMIT, CURSOR, AS_OF, BY],
    problems=[404, 500],
    description="`by` goes with `as_of` alone: 400 otherwise.",
)
READINESS: Final = Operation(
    "/internal/v1/batches/{batch_id}/readiness",
    "Why a batch is ready, or is not",
    answer=responses.Readiness,
    parameters=[ALL],
    problems=[404],
)
HISTORY_OPERATIONS: Final = (HISTORY, READINESS)

_T = TypeVar("_T")


class Past:
    """What routes ask of the past, each answer worked out off the event loop."""

    def __init__(self, history: BatchHistory, explain: ExplainReadiness, letters: DeadLetterQueries) -> None:
        self._history = history
        self._explain = explain
        self._letters = letters
        self._turns = asyncio.Semaphore(_FOLDS_AT_ONCE)

    async def page(self, request: Request) -> Response:
        """Answer with what happened to the batch, event by event."""
        batch_id = id_of(request, "batch_id", error=INVALID_BATCH_ID)
        at, by = asked_time(request)
        after = CURSOR.of(request) or 0
        limit = LIMIT.of(request)
        body = await self._off_the_loop(
            lambda: self._history.page(batch_id, after=after, limit=limit, at=at, by=by)
        )
        return HISTORY.answered(request, body)

    async def status_at(self, request: Request, batch_id: str) -> Response:
        """Answer with how the batch stood at the time that the request names."""
        at, by = asked_time(request)
        assert at is not None, "anyone who asks for the past has named a time, or was refused"
        status = await self._off_the_loop(lambda: self._history.status_at(batch_id, at, by))
        return json_response(request, status)

    async def readiness(self, request: Request) -> Response:
        """Answer with why the batch is ready or is not."""
        batch_id = id_of(request, "batch_id", error=INVALID_BATCH_ID)
        most = None if ALL.of(request) else NAMED
        found = await self._put_aside(batch_id)
        try:
            body = await self._off_the_loop(lambda: self._explain(batch_id, most=most))
        except Problem as problem:
            if problem.status != 404:
                raise
            detail = " ".join([problem.detail, *sentences(found)])
            raise Problem(404, detail, error="Batch not found") from problem
        answer: responses.Readiness = {
            **body,
            "sentences": [*body["sentences"], *sentences(found)],
            "put_aside": found,
        }
        return READINESS.answered(request, answer)

    async def _put_aside(self, batch_id: str) -> responses.PutAside:
        wanted = LetterFilter(state=LetterState.OPEN, batch=batch_id)
        try:
            return put_aside(batch_id, await self._letters.letters(wanted, limit=NAMED, before=None))
        except ReadModelUnavailableError as error:
            return not_searched(batch_id, str(error))

    async def _off_the_loop(self, work: Callable[[], _T]) -> _T:
        try:
            async with self._turns:
                return await asyncio.to_thread(_worked_out, work)
        except UnknownBatchError as error:
            raise Problem(404, str(error), error="Batch not found") from error
        except UnreadableEventError as error:
            raise Problem(500, str(error)) from error


def _worked_out(work: Callable[[], _T]) -> _T:
    with gc_paused():
        return work()


def asks_for_the_past(request: Request) -> bool:
    """Whether a time is named, as it rarely is."""
    return bool(request.scope["query_string"]) and not request.query_params.keys().isdisjoint(
        (AS_OF.name, BY.name)
    )


def asked_time(request: Request) -> tuple[datetime | None, By]:
    """Return the time that `as_of` and `by` name, None without. Raises Problem 400 for what is none."""
    by, text = BY.of(request), AS_OF.text(request)
    if by is not None and text is None:
        raise Problem(400, "by goes with as_of: give the time too.")
    try:
        return (None if text is None else moment(text)), by or By.RECORDED
    except ValueError as error:
        raise Problem(400, f"as_of: {error}") from error


def history_routes(past: Past) -> list[Route]:
    """Return the routes that answer from `past`."""
    return [HISTORY.route(past.page), READINESS.route(past.readiness)]
