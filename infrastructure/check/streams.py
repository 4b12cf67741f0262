"""Reading the event store stream by stream: in portions of streams, each read in pages that fit into memory.

A stream may have a hundred thousand events, and an event megabytes, so neither is bounded by a number of
streams. A portion is a few streams, or one large one; a page is bounded in events and bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from infrastructure.eventstore.codec import EventCodec, StoredRow, UndecodableEventError
from projections.recorded import Recorded

PORTION_STREAMS: Final = 200
PORTION_EVENTS: Final = 20_000
PAGE_EVENTS: Final = 4_000
PAGE_BYTES: Final = 8_000_000

_PORTION: Final = text("""
    WITH grown AS (
        SELECT DISTINCT originator_id FROM ras.stored_events WHERE originator_id > :after
        AND notification_id > :since AND notification_id <= :to ORDER BY originator_id LIMIT :streams
    ), sizes AS (
        SELECT originator_id, (SELECT count(*) FROM ras.stored_events e
            WHERE e.originator_id = grown.originator_id) AS events FROM grown
    )
    SELECT originator_id FROM (
        SELECT originator_id,
            sum(events) OVER (ORDER BY originator_id ROWS UNBOUNDED PRECEDING) - events AS events_before
        FROM sizes
    ) s WHERE events_before < :events ORDER BY originator_id
""")
_PAGE: Final = text("""
    SELECT notification_id, originator_id, originator_version, topic, state FROM (
        SELECT notification_id, originator_id, originator_version, topic, state, sum(octet_length(state)) OVER (
                ORDER BY originator_id, originator_version ROWS UNBOUNDED PRECEDING
            ) - octet_length(state) AS bytes_before
        FROM ras.stored_events
        WHERE originator_id = ANY(:streams) AND (originator_id, originator_version) > (:stream, :version)
            AND (CAST(:topics AS text[]) IS NULL OR topic = ANY(:topics))
        ORDER BY originator_id, originator_version LIMIT :events
    ) page WHERE bytes_before < :bytes ORDER BY originator_id, originator_version
""")


class Page(NamedTuple):
    """A few stored events, in order of stream and version, those that cannot be decoded apart."""

    recorded: list[Recorded]
    unreadable: list[UndecodableEventError]


def next_portion(connection: Connection, since: int, to: int, after: str) -> list[str]:
    """Return the next streams after `after`, in order of id, that have grown since `since` (0: all)."""
    parameters = {"after": after, "since": since, "to": to}
    bounds = {"streams": PORTION_STREAMS, "events": PORTION_EVENTS}
    return list(connection.execute(_PORTION, parameters | bounds).scalars())


def pages(
    connection: Connection, codec: EventCodec, streams: Sequence[str], topics: Sequence[str] | None = None
) -> Iterator[Page]:
    """Yield what is recorded in `streams`, where `topics` are given of these alone."""
    stream, version = "", 0
    while rows := _rows(connection, streams, topics, stream, version):
        page = Page([], [])
        for row in rows:
            try:
                page.recorded.append(Recorded(row.notification_id, codec.to_domain_event(row)))
            except UndecodableEventError as error:
                page.unreadable.append(error)
        stream, version = rows[-1].originator_id, rows[-1].originator_version
        del rows
        yield page


def _rows(
    connection: Connection, streams: Sequence[str], topics: Sequence[str] | None, stream: str, version: int
) -> list[StoredRow]:
    if not streams:
        return []
    wanted = {"streams": list(streams), "topics": None if topics is None else list(topics)}
    place = {"stream": stream, "version": version, "events": PAGE_EVENTS, "bytes": PAGE_BYTES}
    found = connection.execute(_PAGE, wanted | place)
    return [StoredRow._make(row) for row in found]
