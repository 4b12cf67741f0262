"""A part of the log that is read at once, limited in events and in bytes.

A dead letter may hold a message of megabytes, so a number of events alone bounds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from psycopg import sql

from infrastructure.eventstore.codec import StoredRow

TO_THE_END: Final = 2**63 - 1
"""A notification id that none comes after."""


class SliceQuery:
    """The query for the events of some stored topics; its rows have the columns of `StoredRow`."""

    def __init__(self, topics: Iterable[str], *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # Topics as literals, not as a parameter, so that a partial index on them can be used. The length of a
        # state is known without reading what is stored elsewhere of it. The first event always comes.
        self.statement: Final = sql.SQL(
            "SELECT notification_id, originator_id, originator_version, topic, state FROM ("
            "SELECT notification_id, originator_id, originator_version, topic, state,"
            " sum(octet_length(state)) OVER (ORDER BY notification_id ROWS UNBOUNDED PRECEDING)"
            " - octet_length(state) AS bytes_before FROM ras.stored_events"
            " WHERE notification_id > %s AND notification_id <= %s AND topic IN ({})"
            " ORDER BY notification_id LIMIT %s) AS stretch WHERE bytes_before < %s ORDER BY notification_id"
        ).format(sql.SQL(", ").join(map(sql.Literal, topics)))

    def parameters(self, after: int, to: int, limit: int) -> tuple[Any, ...]:
        """Return the parameters for at most `limit` events after `after`, up to and including `to`."""
        return after, to, limit, self._max_bytes

    def is_cut(self, rows: Sequence[StoredRow], limit: int) -> bool:
        """Whether a bound ended the stretch, so that there may be more."""
        return len(rows) == limit or sum(len(row.state) for row in rows) >= self._max_bytes


def as_stored_row(_cursor: Any) -> Any:
    """Make rows `StoredRow`s; a row factory of psycopg."""
    return StoredRow._make
