"""The one session of a rebuild: it writes, and it holds the lock that keeps a second rebuild out.

Lock and writes share a session on purpose. Who loses it has lost both, so an old run that comes back to
life cannot write beside a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, text

from infrastructure.postgres.datastore import maintenance_engine

_LOCK_KEY: Final = 0x52415305
_SETTINGS: Final = (
    # A statement of minutes whose client was killed ends too, and lets go of the lock.
    "SET client_connection_check_interval = '2s'",
    # What is lost when the server crashes is lost together with its position, and is done again.
    "SET synchronous_commit = off",
)


class RebuildError(Exception):
    """A rebuild cannot be done, or not now; the text says why and what to do. The live side is as it was."""


@contextmanager
def only_session(database_url: str) -> Iterator[Connection]:
    """Lend the session of the only rebuild on this database.

    Raises RebuildError if another rebuild is running, sqlalchemy's OperationalError without a database.
    """
    engine = maintenance_engine(database_url)
    with engine.connect() as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK_KEY}).scalar_one():
            raise RebuildError(
                "Another `ras rebuild` is running on this database: wait for its end. Nothing was changed."
            )
        for setting in _SETTINGS:
            connection.execute(text(setting))
        connection.commit()
        yield connection
