"""Is there a connection pooler in front of PostgreSQL, and does a session last behind it?

PgBouncer gives each client a made-up process id. In session mode a client keeps its server connection; LISTEN,
prepared statements, session settings and advisory locks work. In transaction and statement mode the next
statement may run in another session, and all of these fail now and then, in ways that name something else. So
it is found out at each start.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg

from infrastructure.errors import OperatorError
from infrastructure.postgres.sessions import parameters_of

_ROUNDS: Final = 5
_PID: Final = "SELECT pg_backend_pid()"


class PoolerError(OperatorError):
    """The address leads to a pooler behind which no session lasts; the text says what to set."""

    exit_code = 2


def check_sessions_last(database_url: str) -> None:
    """Raise PoolerError where sessions do not last, and psycopg's OperationalError without a database.

    No setting is made here: behind such a pooler it would reach other clients.
    """
    with _plain(database_url) as first:
        if _pid(first) == first.info.backend_pid:
            return
        with _plain(database_url) as second:
            # Two sessions that last are two processes. Where they do not, idle ones are given out again.
            shared = any(_pid(first) == _pid(second) for _ in range(_ROUNDS))
            moved = len({_pid(first) for _ in range(_ROUNDS)}) > 1
    if shared or moved:
        raise PoolerError(
            "The database is reached through a connection pooler (PgBouncer) in transaction mode, where no session lasts: "
            "set RAS_DATABASE_DIRECT_URL to the address of PostgreSQL itself. RAS_DATABASE_URL may keep the pooler's; "
            "the query API then reads through it."
        )


def _plain(database_url: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(**parameters_of(database_url), autocommit=True, prepare_threshold=None)


def _pid(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    row = connection.execute(_PID).fetchone()
    assert row is not None
    return int(row[0])
