"""Recognises values that PostgreSQL refuses. A retry does not help with those."""

from __future__ import annotations

from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError, StatementError

_LIMIT_EXCEEDED: Final = "54"
"""The class of too large index rows and too deeply nested objects; the driver counts it as a fault of operation."""


def refusal(error: BaseException) -> str | None:
    """Return why the values of a statement are refused, without the values; None where another fault is at work."""
    cause: BaseException | None
    if isinstance(error, DBAPIError):
        cause = error.orig
    elif isinstance(error, StatementError):
        return f"a value cannot be handed to PostgreSQL ({type(error.orig).__name__})"
    else:
        cause = error
    if isinstance(cause, psycopg.DataError | psycopg.IntegrityError) or (
        isinstance(cause, psycopg.Error) and (cause.sqlstate or "").startswith(_LIMIT_EXCEEDED)
    ):
        told = cause.diag
        of = ".".join(filter(None, (told.table_name, told.column_name or told.constraint_name)))
        where = f" at {of}" if of else ""
        return f"PostgreSQL refuses it ({type(cause).__name__}{where})"
    return None
