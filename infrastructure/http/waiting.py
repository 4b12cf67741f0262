"""What clients may wait for: another version of an answer, and a read model that has come as far as they have.

`?wait=SECONDS` or `Prefer: wait=SECONDS` (RFC 7240, section 4.3) beside `If-None-Match`: an answer that would be 304
is held back until there is another, or until the time is over. `?after=POSITION`: the answer comes from a read
model that knows all events up to that position of the log; where it does not within the time, the answer is 503.
Positions come from the header `RAS-Position`: on what changes something, that of the log behind the change; on an
answer about a batch or an essay, that of the newest event in it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar

from starlette.requests import Request

from application.queries import Edition
from infrastructure.http.middleware import WAITED_S
from infrastructure.http.parameters import Header, Parameter, Position
from infrastructure.http.problems import Problem

POSITION: Final = "RAS-Position"
_MOST_SECONDS: Final = 999_999_999

AFTER: Final = Position(
    "after",
    f"Answer from what is known of all events up to this position: `{POSITION}` of an earlier answer, or of a change."
    " 503 where that is not so in time (`wait`, else 5 s), 400 where the log ends before it",
    refusal=f"after must be a position, as in the header {POSITION}.",
)
WAIT: Final = Parameter(
    "wait",
    "Seconds to hold a 304 back until there is another answer (with `If-None-Match`), and to wait for `after`; bounded by the"
    " server, 30 s unless set otherwise",
    {"type": "number", "minimum": 0, "maximum": _MOST_SECONDS},
)
PREFER: Final = Header(
    "Prefer",
    "`wait=SECONDS` (RFC 7240) instead of the parameter; `Preference-Applied` says what was heeded",
)
_READ_MODEL_LAGS_S: Final = 5.0
"""How long `after` is waited for where the client does not say."""

_PREFERRED: Final = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE | re.ASCII)
_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,400})?(e-\d{1,3})?", re.ASCII | re.IGNORECASE)
"""A number of JSON, from 0 to `_MOST_SECONDS`."""

_T = TypeVar("_T")

Head = Callable[[], Awaitable[int]]
"""Returns the highest notification id of the log."""


class Watch(Protocol):
    """Waits for read models. Raises psycopg's errors when the database is unavailable."""

    async def position(self, read_model: str) -> int:
        """Return the notification id up to which a read model knows events."""

    async def until_reached(self, read_model: str, position: int, *, timeout_s: float) -> bool:
        """Return whether a read model has reached a position, within the time."""

    async def until_changed(self, batch_id: str, edition: Edition, *, timeout_s: float) -> bool:
        """Return whether a batch has another edition, within the time."""


class Waiting:
    """How long requests may wait, `longest_s` at most, and what for."""

    def __init__(self, watch: Watch, head: Head, *, longest_s: float) -> None:
        self._watch = watch
        self._head = head
        self._longest_s = longest_s

    async def catch_up(self, request: Request, read_model: str) -> float:
        """Return when `read_model` is as far as the request wants it to be, which most do not say.

        Returns the seconds that it took. Raises Problem 400 for a time or a position that is none, or that the log
        has not reached; 503 when the read model has not in time.
        """
        if not request.scope["query_string"]:
            return 0.0
        asked_s, position = self._asked_s(request), AFTER.of(request)
        if position is None:
            return 0.0
        if await self._watch.position(read_model) >= position:
            return 0.0
        if (head := await self._head()) < position:
            raise Problem(
                400,
                f"The log ends at {head}: nothing is recorded at position {position}. One from before a restore is void.",
            )
        timeout_s = min(_READ_MODEL_LAGS_S, self._longest_s) if asked_s is None else asked_s
        begun = perf_counter()
        is_reached = await _unless_gone(
            request, self._watch.until_reached(read_model, position, timeout_s=timeout_s)
        )
        waited_s = _noted(request, begun)
        if not is_reached:
            reached = await self._watch.position(read_model)
            detail = f"The read model {read_model} is at position {reached}, not yet at {position}. Try again shortly."
            raise Problem(503, detail, error="Read model behind", Retry_After="1", RAS_Position=str(reached))
        return waited_s

    async def for_another(
        self, request: Request, batch_id: str, edition: Edition, *, waited_s: float
    ) -> dict[str, str] | None:
        """Wait until a batch has another edition, for as long as the request says, less `waited_s`.

        None: it does not say so. Returns the headers that say what was heeded; the caller looks again then.
        """
        timeout_s = self._asked_s(request)
        heeded: dict[str, str] = {}
        if timeout_s is None:
            timeout_s = self._preferred_s(request)
            if timeout_s is None:
                return None
            heeded["Preference-Applied"] = f"wait={timeout_s:g}"
        if timeout_s > waited_s:
            begun = perf_counter()
            await _unless_gone(
                request, self._watch.until_changed(batch_id, edition, timeout_s=timeout_s - waited_s)
            )
            _noted(request, begun)
        return heeded

    async def shown(self, read_model: str) -> None:
        """Wait, some seconds at most, until a read model knows all that is recorded."""
        timeout_s = min(_READ_MODEL_LAGS_S, self._longest_s)
        await self._watch.until_reached(read_model, await self._head(), timeout_s=timeout_s)

    async def position_header(self) -> dict[str, str]:
        """Return the header that tells a client behind which position its change lies."""
        return {POSITION: str(await self._head())}

    def _asked_s(self, request: Request) -> float | None:
        if not request.scope["query_string"]:
            return None
        given = WAIT.text(request)
        if given is None:
            return None
        if not _SECONDS.fullmatch(given):
            raise Problem(400, "wait must be a number of seconds.")
        return min(float(given), self._longest_s)

    def _preferred_s(self, request: Request) -> float | None:
        """Return what `Prefer` says; what it does not say well is not heeded (RFC 7240, section 2)."""
        for header in request.headers.getlist("prefer"):
            for preference in header.split(","):
                found = _PREFERRED.fullmatch(preference.split(";")[0].strip())
                if found is not None:
                    return min(float(found[1]), self._longest_s)
        return None


def _noted(request: Request, begun: float) -> float:
    """Note that the request has waited since `begun`, which is no time of answering, and return how long."""
    waited_s = perf_counter() - begun
    request.scope[WAITED_S] = request.scope.get(WAITED_S, 0.0) + waited_s
    return waited_s


async def _unless_gone(request: Request, waiting: Coroutine[Any, Any, _T]) -> _T:
    """Return what `waiting` comes to. Raises Problem 499, which nobody reads, once the client has gone."""
    answer = asyncio.ensure_future(waiting)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise Problem(499, "The client has gone.")
    finally:
        answer.cancel()
        gone.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def asks_to_wait(request: Request) -> bool:
    """Whether the query names a time to wait or a position, as it rarely does."""
    return bool(request.scope["query_string"]) and not request.query_params.keys().isdisjoint(
        (WAIT.name, AFTER.name)
    )
