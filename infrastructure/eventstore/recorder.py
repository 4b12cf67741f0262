"""The table of the event store, and the only code that writes to it.

Every insert takes one advisory lock first, until its transaction ends, so that notification ids are given out
in the order of the commits and a follower never passes over a gap that is filled later. The library locks the
table in EXCLUSIVE mode for this (the reasons are argued in its `_lock_table`). That mode excludes VACUUM, ANALYZE
and CREATE INDEX CONCURRENTLY too, which hold SHARE UPDATE EXCLUSIVE for as long as they run: intake stops, or
autovacuum is cancelled each time. An advisory lock excludes writers alone; `_lock_table` is overridden, so that
every way into the library's recorder takes it (docs/decisions/0080-advisory-lock-for-writers.md).

What else differs from the library: rows go in by binary COPY (half the cost of the composite array it builds),
positions move in the same transaction, nothing is retried here (a retry after an unknown outcome must look at
the position first), and the database function that inserts without the lock is not even created.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.errors import OperationalError, ReadOnlySqlTransaction
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from infrastructure.eventstore.copy_rows import COLUMNS, copied, copy_rows

EVENTS_TABLE: Final = "stored_events"
CHANNEL: Final = EVENTS_TABLE
"""The NOTIFY channel: a hint that the log has grown."""
WRITERS_LOCK_KEY: Final = 0x52415307
"""Advisory lock of this database: one writer of the log at a time. A tool that inserts must take it too."""

_LOCK: Final = "SELECT pg_advisory_xact_lock(%s)"


class EventRecorder(PostgresApplicationRecorder):
    """The library's recorder with COPY for the inserts."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore, events_table_name=EVENTS_TABLE)
        del self.sql_create_statements[self.create_insert_function_statement_index]
        self._copy: Final = SQL("COPY {}.{} ({}) FROM STDIN (FORMAT BINARY)").format(
            Identifier(datastore.schema),
            Identifier(EVENTS_TABLE),
            SQL(", ").join(map(Identifier, COLUMNS)),
        )
        self._select_streams: Final = SQL(
            "SELECT e.* FROM unnest(%s::text[], %s::bigint[]) AS s (id, after) CROSS JOIN LATERAL"
            " (SELECT originator_id, originator_version, topic, state FROM {}.{}"
            " WHERE originator_id = s.id AND originator_version > s.after"
            " ORDER BY originator_version LIMIT %s) AS e ORDER BY e.originator_id, e.originator_version"
        ).format(Identifier(datastore.schema), Identifier(EVENTS_TABLE))

    @contextmanager
    def connection(self) -> Iterator[Connection[DictRow]]:
        """Lend a connection; psycopg's errors come out as the library's."""
        with self.datastore.get_connection() as connection:
            try:
                yield connection
            except OperationalError:
                if (
                    connection.closed
                ):  # those that lie in the pool lead to the same server: each would cost as long
                    self.datastore.pool.drain()
                raise
            except ReadOnlySqlTransaction:
                connection.close()  # to a server that was the primary: the next one looks for the new primary
                raise

    def lock(self, cursor: Cursor[DictRow]) -> None:
        """Keep every other writer out until the transaction ends. Readers and VACUUM go on.

        Raises psycopg.errors.LockNotAvailable when another writer holds it for longer than `lock_timeout`.
        """
        self._lock_table(cursor)

    def _lock_table(self, curs: Cursor[DictRow]) -> None:
        curs.execute(_LOCK, (WRITERS_LOCK_KEY,), prepare=True)

    def insert(self, cursor: Cursor[DictRow], rows: bytes) -> None:
        """Append rows of `copy_rows` to the log, in this order, within the transaction; the lock must be held.

        Raises psycopg.errors.UniqueViolation if another writer took one of these versions.
        """
        with cursor.copy(self._copy) as copy:
            copy.write(copied(rows))
        self._notify_channel(cursor)

    def select_streams(
        self, cursor: Cursor[DictRow], after: Mapping[str, int], most: int
    ) -> list[StoredEvent]:
        """Return of each stream at most `most` events after a version, stream by stream in version order."""
        cursor.execute(self._select_streams, (list(after), list(after.values()), most), prepare=True)
        return [StoredEvent(**row) for row in cursor.fetchall()]

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Append to the log in a transaction of its own (the library's interface)."""
        with self.connection() as connection, connection.transaction(), connection.cursor() as cursor:
            self.lock(cursor)
            rows = ((str(e.originator_id), e.originator_version, e.topic, e.state) for e in stored_events)
            self.insert(cursor, copy_rows(rows))
        return None
