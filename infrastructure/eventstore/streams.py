"""Reads one stream, page by page, without a transaction: for readers that decide nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from eventsourcing.postgres import PostgresDatastore
from psycopg.rows import tuple_row
from psycopg.sql import SQL

from application.history import Entry, RecordedEvent, UnreadableEvent
from infrastructure.eventstore.codec import EventCodec, StoredRow, UndecodableEventError

_PAGE: Final = 2000
_SELECT: Final = SQL(
    "SELECT notification_id, originator_id, originator_version, topic, state FROM ras.stored_events"
    " WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s"
)


class StreamReader:
    """Streams as they are recorded. Calls block: keep them off the event loop."""

    def __init__(self, datastore: PostgresDatastore, codec: EventCodec, *, page: int = _PAGE) -> None:
        self._datastore = datastore
        self._codec = codec
        self._page = page

    def read(self, stream_id: str, after: int = 0) -> Iterator[Entry]:
        """Yield the entries after the version `after`; those that cannot be decoded say so.

        What is appended meanwhile is read too. Raises the library's errors when the database is unavailable.
        """
        while True:
            with (
                self._datastore.get_connection() as connection,
                connection.cursor(binary=True, row_factory=tuple_row) as cursor,
            ):
                cursor.execute(_SELECT, (stream_id, after, self._page), prepare=True)
                rows = cursor.fetchall()
            for row in rows:
                yield self._entry(StoredRow._make(row))
            if len(rows) < self._page:
                return
            after = rows[-1][2]

    def close(self) -> None:
        """Close the connections."""
        self._datastore.close()

    def _entry(self, stored: StoredRow) -> Entry:
        try:
            return RecordedEvent(stored.notification_id, self._codec.to_domain_event(stored))
        except UndecodableEventError as error:  # the others can be told
            return UnreadableEvent(
                stored.notification_id, stored.originator_version, stored.topic, error.reason
            )
