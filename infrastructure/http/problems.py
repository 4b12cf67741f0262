"""Errors as RFC 9457 problems, with upstream's `error` member beside, so that its clients find it."""

from __future__ import annotations

from typing import Any, Final

import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from application.responses.service import Problem as ProblemBody
from infrastructure.http.browser_headers import add_browser_headers

_log = structlog.get_logger(__name__)

_TITLES: Final = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    422: "Unprocessable content",
    499: "Client closed request",
    500: "Internal server error",
    503: "Service unavailable",
}


class Problem(Exception):  # noqa: N818 - the standard's word for it
    """An answer that is not what was asked for. `error` is upstream's text for it."""

    def __init__(self, status: int, detail: str, *, error: str | None = None, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.error = error or _TITLES.get(status, "Error")
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def problem_response(request: Request, problem: Problem) -> Response:
    """Return `problem` as application/problem+json."""
    body: ProblemBody = {
        "type": "about:blank",
        "title": _TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.url.path,
        "correlation_id": request.scope.get("correlation_id"),
        "error": problem.error,
    }
    return Response(
        orjson.dumps(body), problem.status, headers=problem.headers, media_type="application/problem+json"
    )


async def on_problem(request: Request, error: Exception) -> Response:
    """Answer what a route raised on purpose."""
    assert isinstance(error, Problem)
    return problem_response(request, error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer unknown routes and methods; OPTIONS, which no route handles, with what an address takes."""
    assert isinstance(error, HTTPException)
    allowed = {"Allow": _allowed(request)} if error.status_code == 405 else {}
    if allowed and request.method == "OPTIONS":
        return Response(status_code=204, headers=allowed)
    details = {404: "There is nothing at this address.", 405: "This address does not take this method."}
    problem = Problem(error.status_code, details.get(error.status_code, error.detail))
    problem.headers.update(allowed or error.headers or {})
    return problem_response(request, problem)


def _allowed(request: Request) -> str:
    """Return the methods of all routes at the address (RFC 9110, section 10.2.1), not of the first one alone.

    An address that is written out in one route is not an id in another, as OpenAPI has it.
    """
    scope = {
        **request.scope,
        "root_path": request.scope.get("app_root_path", ""),
    }  # a mounted folder changes it
    matching = [route for route in request.app.routes if route.matches(scope)[0] is not Match.NONE]
    written_out = [route for route in matching if getattr(route, "path", None) == scope["path"]]
    found = {"OPTIONS"}
    for route in written_out or matching:
        found |= getattr(route, "methods", None) or {"GET", "HEAD"}  # a folder of files
    return ", ".join(sorted(found))


async def on_fault(request: Request, error: Exception) -> Response:
    """Answer a fault of our own without telling more than its correlation id."""
    # Starlette calls this outside all our middleware: what they add to answers and logs is added here.
    correlation_id = request.scope.get("correlation_id")
    _log.error("http.fault", route=route_template(request), correlation_id=correlation_id, exc_info=error)
    problem = Problem(500, "Something went wrong here. The correlation id finds it in our logs.")
    if correlation_id is not None:
        problem.headers["X-Correlation-ID"] = correlation_id
    response = problem_response(request, problem)
    response.headers["X-Content-Type-Options"] = "nosniff"
    add_browser_headers(response.headers)
    return response


def route_template(request: Request) -> str:
    """Return the template of the route: a path may hold a user's id, which is not for logs."""
    return getattr(request.scope.get("route"), "path", "none")


HANDLERS: Final[dict[Any, Any]] = {
    Problem: on_problem,
    HTTPException: on_http_exception,
    Exception: on_fault,
}
"""For an application without a database, such as the health of a role."""
