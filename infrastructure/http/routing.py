"""Routes that allow `/` in ids and reject query parameters that are not documented.

Ids are any texts, and `/` in one is sent as `%2F`. The server hands on the decoded path, in which it would divide
segments; where one was sent, segments are distinguished in the path as it was sent (ASGI: `raw_path`).

A query is compared with the operation's description. Were an unknown parameter ignored, a client that misspells
`as_of` would take the present for the past; of one that is given twice, one value would be ignored. Only the routes
that upstream's clients know ignore unknown parameters, as the service does that RAS replaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from infrastructure.http.on_behalf import BOUND, Bound
from infrastructure.http.problems import Problem

Handler = Callable[[Request], Awaitable[Response]]

UPSTREAMS: Final = frozenset(
    {
        "/internal/v1/batches/user/{user_id}",
        "/internal/v1/batches/{batch_id}/status",
        "/internal/v1/essays/{essay_id}/aggregated-analysis",
    }
)
"""The routes of the service whose clients must work unchanged."""

_REPEATABLE: Final = frozenset({"include", "without_judge", "without_item"})
"""Parameters that list something, over again or with commas."""


class CheckedRoute(Route):
    """A route that refuses a query with anything but `known` in it; None takes any."""

    def __init__(
        self, path: str, endpoint: Handler, *, methods: Sequence[str], known: frozenset[str] | None
    ) -> None:
        super().__init__(path, endpoint, methods=list(methods))
        self._known = known

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path, in which `%2F` divides nothing."""
        raw = scope.get("raw_path", b"")
        if b"%2" not in raw or scope["type"] != "http":
            return super().matches(scope)
        match, found = super().matches({**scope, "path": _with_slashes_kept(raw)})
        if "path_params" in found:
            found["path_params"] = {
                name: unquote(value) if isinstance(value, str) else value
                for name, value in found["path_params"].items()
            }
        return match, found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise Problem 400 for a query that is not described."""
        if scope["query_string"] and self._known is not None:
            _check_query(Request(scope), self._known, ignores_unknown=self.path in UPSTREAMS)
        bound: Bound | None = scope.get(BOUND)
        if bound is not None:
            given = Request(scope).query_params.get("batch_id") if "batch_id" in (self._known or ()) else None
            await bound.check(scope["path_params"], given)
        await super().handle(scope, receive, send)


def _with_slashes_kept(raw_path: bytes) -> str:
    """Return the decoded path, in whose segments `/` and `%` are still encoded."""
    segments = raw_path.decode("latin-1").split("/")
    return "/".join(unquote(each).replace("%", "%25").replace("/", "%2F") for each in segments)


def _check_query(request: Request, known: frozenset[str], *, ignores_unknown: bool) -> None:
    given = Counter(name for name, _ in request.query_params.multi_items())
    unknown = [name for name in given if name not in known]
    if unknown and not ignores_unknown:
        there_are = f"there are {', '.join(sorted(known))}" if known else "there is none here"
        raise Problem(400, f"There is no parameter {', '.join(unknown)[:200]!r}: {there_are}.")
    if repeated := [name for name, times in given.items() if times > 1 and name in known - _REPEATABLE]:
        raise Problem(400, f"{', '.join(repeated)} must be given once.")
