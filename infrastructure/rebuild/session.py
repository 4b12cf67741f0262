"""The sessions of a rebuild: one that keeps a second rebuild out, and a writer for each side.

Every session holds a lock of its own, and a rebuild begins only where no session of an earlier one is left.
So a run that has lost some of its sessions cannot write beside a new one with those that it still has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from infrastructure.errors import OperatorError
from infrastructure.postgres.connections import maintenance_engine

LOCK_KEY: Final = 0x52415305
_WRITERS_KEY: Final = 0x52415306
_LOCK: Final = text("SELECT pg_advisory_lock(:key)")
_SHARE: Final = text("SELECT pg_try_advisory_lock_shared(:key)")
_UNLOCK: Final = text("SELECT pg_advisory_unlock(:key)")
_SETTINGS: Final = (
    # A statement of minutes whose client was killed ends too, and lets go of the lock.
    "SET client_connection_check_interval = '1s'",
    # What is lost when the server crashes is lost together with its position, and is done again.
    "SET synchronous_commit = off",
)


_PATIENCE: Final = text("SET LOCAL lock_timeout = '3s'")
"""For as long a run that was killed in the middle of a statement may still hold a lock."""


class RebuildError(OperatorError):
    """A rebuild cannot be done, or not now; the text says why and what to do. The live side is as it was."""


class RefusedStretchError(Exception):
    """PostgreSQL refuses what a stretch after the position of `side`, up to `to`, comes to. Nothing was written."""

    def __init__(self, side: Any, to: int, reason: str) -> None:
        super().__init__(reason)
        self.side: Final = side
        self.to: Final = to
        self.reason: Final = reason


_ANOTHER: Final = "Another `ras rebuild` is running on this database: wait for its end. Nothing was changed."


@contextmanager
def only_session(database_url: str) -> Iterator[Connection]:
    """Lend the session of the only rebuild on this database.

    Raises RebuildError if another rebuild is running, sqlalchemy's OperationalError without a database.
    """
    with _session(database_url) as connection:
        try:
            with connection.begin():
                connection.execute(_PATIENCE)
                for key in (LOCK_KEY, _WRITERS_KEY):
                    connection.execute(_LOCK, {"key": key})
                connection.execute(_UNLOCK, {"key": _WRITERS_KEY})
        except DBAPIError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise
            raise RebuildError(_ANOTHER) from error
        yield connection


@contextmanager
def writer_session(database_url: str) -> Iterator[Connection]:
    """Lend a session in which one side is written; raises as `only_session` does."""
    with _session(database_url) as connection:
        with connection.begin():
            if not connection.execute(_SHARE, {"key": _WRITERS_KEY}).scalar_one():
                raise RebuildError(_ANOTHER)
        yield connection


@contextmanager
def _session(database_url: str) -> Iterator[Connection]:
    with maintenance_engine(database_url).connect() as connection:
        for setting in _SETTINGS:
            connection.execute(text(setting))
        connection.commit()
        yield connection
