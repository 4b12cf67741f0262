"""Errors of the database as problems, and so the handlers of all errors of an API.

A role without an API answers for its health alone: it does not load what these errors come from.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
import structlog
from eventsourcing.persistence import ProgrammingError as StoreRefusedError
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.requests import Request
from starlette.responses import Response

from infrastructure.eventstore.store import TRANSIENT_ERRORS
from infrastructure.http import problems
from infrastructure.http.problems import Problem, on_fault, problem_response, route_template
from infrastructure.postgres import faults
from infrastructure.postgres.read_models import ReadModelUnavailableError

_log = structlog.get_logger(__name__)

_RETRY_AFTER_S: Final = 5


async def on_database_error(request: Request, error: Exception) -> Response:
    """Answer that the database is unavailable, or that it refused what we asked."""
    if isinstance(faults.driver_error(error), InsufficientPrivilege):
        return _not_granted(request)
    found = faults.fault_of(error)
    if found is None or found.is_ours:
        return await on_fault(request, error)
    _log.warning("http.database", route=route_template(request), reason=faults.public_sentence(error))
    detail = f"{found.what}; nothing is lost. Try again shortly."
    return problem_response(
        request, Problem(503, detail, error="Internal server error", Retry_After=str(_RETRY_AFTER_S))
    )


def _not_granted(request: Request) -> Response:
    _log.error("http.privilege_missing", route=route_template(request))
    detail = "The database user of this service may not do this: RAS_DATABASE_WRITE_URL must name one that may record events."
    return problem_response(request, Problem(503, detail, error="Internal server error"))


async def on_unavailable_read_model(request: Request, error: Exception) -> Response:
    """Answer that a read model does not fit this release, and what an operator is to run."""
    _log.warning("http.read_model", path=request.url.path, reason=str(error))
    return problem_response(
        request, Problem(503, str(error), error="Internal server error", Retry_After=str(_RETRY_AFTER_S))
    )


HANDLERS: Final[dict[Any, Any]] = {
    **problems.HANDLERS,
    DBAPIError: on_database_error,
    psycopg.Error: on_database_error,
    StoreRefusedError: on_database_error,
    PoolTimeoutError: on_database_error,
    ReadModelUnavailableError: on_unavailable_read_model,
    **dict.fromkeys(TRANSIENT_ERRORS, on_database_error),
}
