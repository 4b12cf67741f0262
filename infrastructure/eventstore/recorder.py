"""The event store's table, and the one way into it.

Every insert takes the library's EXCLUSIVE lock on the table, so that notification ids are given out in
the order of the commits and a follower never passes over a gap that is filled later (the reasons are
argued in the library's `_lock_table`). What differs from the library: rows go in by binary COPY (half
the cost of the composite array it builds), positions move in the same transaction, nothing is retried
here (a retry after an unknown outcome must look at the position first), and the database function that
inserts without the lock is not even created.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

EVENTS_TABLE: Final = "stored_events"
CHANNEL: Final = EVENTS_TABLE
"""The NOTIFY channel: a hint that the log has grown."""


class EventRecorder(PostgresApplicationRecorder):
    """The library's recorder with COPY for the inserts."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore, events_table_name=EVENTS_TABLE)
        del self.sql_create_statements[self.create_insert_function_statement_index]
        self._copy: Final = SQL(
            "COPY {}.{} (originator_id, originator_version, topic, state) FROM STDIN (FORMAT BINARY)"
        ).format(Identifier(datastore.schema), Identifier(EVENTS_TABLE))
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
            yield connection

    def lock(self, cursor: Cursor[DictRow]) -> None:
        """Keep every other writer out until the transaction ends. Readers go on."""
        self._lock_table(cursor)

    def insert(self, cursor: Cursor[DictRow], stored_events: Sequence[StoredEvent]) -> None:
        """Append to the log, in this order, within the transaction; the lock must be held.

        Raises psycopg.errors.UniqueViolation if another writer took one of these versions.
        """
        with cursor.copy(self._copy) as copy:
            copy.set_types(("text", "int8", "text", "bytea"))
            for event in stored_events:
                copy.write_row((event.originator_id, event.originator_version, event.topic, event.state))
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
            self.insert(cursor, stored_events)
        return None
