"""Routes that look back: what happened to a batch, how it stood, why it is ready or not.

They read the event store, and fold what may be a hundred thousand events. That is done on threads, few at a
time, because each takes the interpreter from the event loop that everybody else waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.explanation import ExplainReadiness
from application.history import BatchHistory, UnknownBatchError, UnreadableEventError
from application.time_travel import By, moment
from domain.narrative import NAMED
from infrastructure.gc_pacing import gc_paused
from infrastructure.http.problems import Problem
from infrastructure.http.responses import bool_param, cursor, id_param, int_param, json_response
from infrastructure.queries.bodies import batch_body

INVALID_BATCH_ID: Final = "Invalid batch ID"
_FOLDS_AT_ONCE: Final = 2

_T = TypeVar("_T")


class Past:
    """What routes ask of the past, each answer worked out off the event loop."""

    def __init__(self, history: BatchHistory, explain: ExplainReadiness) -> None:
        self._history = history
        self._explain = explain
        self._turns = asyncio.Semaphore(_FOLDS_AT_ONCE)

    async def page(self, request: Request) -> Response:
        """Answer with what happened to the batch, event by event."""
        batch_id = id_param(request, "batch_id", error=INVALID_BATCH_ID)
        at, by = asked_time(request)
        after = cursor(request) or 0
        limit = int_param(request, "limit", 100, lowest=1, highest=1000)
        body = await self._off_the_loop(
            lambda: self._history.page(batch_id, after=after, limit=limit, at=at, by=by)
        )
        return json_response(request, body)

    async def status_at(self, request: Request, batch_id: str) -> Response:
        """Answer with how the batch stood at the time that the request names."""
        at, by = asked_time(request)
        assert at is not None, "whoever asks for the past has named a time, or was refused"
        row = await self._off_the_loop(lambda: self._history.status_at(batch_id, at, by))
        return json_response(request, batch_body({**row, "essays": orjson.dumps(row["essays"]).decode()}))

    async def readiness(self, request: Request) -> Response:
        """Answer with why the batch is ready or is not."""
        batch_id = id_param(request, "batch_id", error=INVALID_BATCH_ID)
        most = None if bool_param(request, "all") else NAMED
        return json_response(request, await self._off_the_loop(lambda: self._explain(batch_id, most=most)))

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
    return bool(request.scope["query_string"]) and not request.query_params.keys().isdisjoint(("as_of", "by"))


def asked_time(request: Request) -> tuple[datetime | None, By]:
    """Return the time that `as_of` and `by` name, None without. Raises Problem 400 for what is none."""
    text, by = request.query_params.get("as_of"), request.query_params.get("by")
    if by is not None and by not in set(By):
        raise Problem(400, f"by must be one of {', '.join(By)}.")
    if by is not None and text is None:
        raise Problem(400, "by goes with as_of: give the time too.")
    try:
        return (None if text is None else moment(text)), By(by or By.RECORDED)
    except ValueError as error:
        raise Problem(400, f"as_of: {error}") from error


def history_routes(past: Past) -> list[Route]:
    """Return the routes that answer from `past`."""
    base = "/internal/v1/batches/{batch_id}"
    return [Route(base + "/history", past.page), Route(base + "/readiness", past.readiness)]
