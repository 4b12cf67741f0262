"""Reads the notification log, and wakes followers when it grows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import psycopg
import structlog
from psycopg import sql
from psycopg.rows import TupleRow

from infrastructure.eventstore.codec import EventCodec, StoredRow, UndecodableEventError
from infrastructure.eventstore.log_slices import TO_THE_END, SliceQuery, as_stored_row
from infrastructure.eventstore.recorder import CHANNEL
from infrastructure.postgres.connections import connect
from infrastructure.resilience import Backoff
from projections.recorded import Recorded

_log = structlog.get_logger(__name__)

STRETCH_BYTES: Final = 8_000_000
_LISTEN: Final = sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL))
_ASK_INTERVAL_S: Final = 5.0
"""How often a listener asks whether its connection is still one."""
_DECODED_AT_A_TIME: Final = 250
"""Events decoded before the event loop gets its turn: some two milliseconds."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of the log: the wanted events after a position, up to and including `reached`.

    `reached` may be beyond the last event: what lies between is of other topics. It is before the position
    asked for if the log ends there: the store was restored to an earlier day. `is_full` tells that there is
    probably more.
    """

    events: list[Recorded]
    reached: int
    is_full: bool


class NotificationLog:
    """The log, filtered by topic in SQL. Reads the primary: a replica may lack the newest commits.

    Contiguity means nothing here: rolled back inserts leave gaps in the ids for good. What matters is
    that ids are committed in order, which the recorder's lock sees to.
    """

    def __init__(self, database_url: str, codec: EventCodec, topics: Sequence[str]) -> None:
        self._database_url = database_url
        self._codec = codec
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        stored_topics = codec.stored_under(topics)
        self._stretch: Final = SliceQuery(stored_topics, max_bytes=STRETCH_BYTES)
        # One question, and one snapshot: in a row of its own, where the log ends.
        self._stretch_and_head: Final = sql.SQL(
            "SELECT coalesce(max(notification_id), 0) AS notification_id, NULL AS originator_id,"
            " NULL AS originator_version, NULL AS topic, NULL AS state FROM ras.stored_events"
            " UNION ALL ({}) ORDER BY notification_id"
        ).format(self._stretch.statement)
        self._count: Final = sql.SQL(
            "SELECT count(*) FROM (SELECT FROM ras.stored_events"
            " WHERE notification_id > %s AND topic IN ({}) LIMIT 100000) AS behind"
        ).format(sql.SQL(", ").join(map(sql.Literal, stored_topics)))

    async def read(self, after: int, limit: int, *, to: int = TO_THE_END) -> Slice:
        """Return at most `limit` events after the notification id `after` and up to `to`, fewer if they are large.

        Ends before an event that cannot be decoded; raises UndecodableEventError when it is the first. Raises
        psycopg.OperationalError when the database is unavailable.
        """
        head, rows = await self._head_and_rows(after, to, limit)
        head = min(head, to)
        if head <= after:
            return Slice([], head, is_full=False)
        events: list[Recorded] = []
        for start in range(0, len(rows), _DECODED_AT_A_TIME):
            if start:
                await asyncio.sleep(0)  # anyone who sends the stretch before this one has its turn
            for row in rows[start : start + _DECODED_AT_A_TIME]:
                try:
                    events.append(Recorded(row.notification_id, self._codec.to_domain_event(row)))
                except UndecodableEventError as error:
                    if events:  # what comes before it need not wait
                        return Slice(events, events[-1].notification_id, is_full=True)
                    error.notification_id = row.notification_id
                    raise
        if self._stretch.is_cut(rows, limit):
            return Slice(events, events[-1].notification_id, is_full=True)
        return Slice(events, max(head, events[-1].notification_id if events else after), is_full=False)

    async def _head_and_rows(self, after: int, to: int, limit: int) -> tuple[int, list[StoredRow]]:
        connection = await self._connected()
        async with connection.cursor(binary=True, row_factory=as_stored_row) as cursor:
            parameters = self._stretch.parameters(after, to, limit)
            await cursor.execute(self._stretch_and_head, parameters, prepare=True)
            rows = await cursor.fetchall()
        # It is the last row or, where it has the id of an event, perhaps the one before.
        head = rows.pop(-1 if rows[-1].originator_id is None else -2)
        return head.notification_id, rows

    async def head(self) -> int:
        """Return the highest notification id, 0 for an empty log."""
        return await self._number("SELECT coalesce(max(notification_id), 0) FROM ras.stored_events", ())

    async def count_after(self, position: int) -> int:
        """Return how many wanted events lie after `position`, counting no further than 100,000."""
        return await self._number(self._count, (position,))

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _number(self, query: Any, parameters: tuple[int, ...]) -> int:
        connection = await self._connected()
        cursor = await connection.execute(query, parameters, prepare=True)
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def _connected(self) -> psycopg.AsyncConnection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._database_url)
        return self._connection


class LogListener:
    """Listens for the hint that the log has grown; wakes anyone who waits.

    NOTIFY is a hint and not a queue: a lost session loses hints, so waiting always has a time-out, after
    which the follower looks for itself.
    """

    def __init__(self, database_url: str, backoff: Backoff) -> None:
        self._database_url = database_url
        self._backoff = backoff
        self._grown = asyncio.Event()
        self._stopping = asyncio.Event()

    async def wait(self, timeout_s: float) -> bool:
        """Return True when the log has grown since the wait began, False after `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await self._grown.wait()
        return False

    def wake(self) -> None:
        """Wake everybody who waits."""
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def stop(self) -> None:
        """Stop listening, and wake everybody so that they can end."""
        self._stopping.set()
        self.wake()

    async def run(self) -> None:
        """Listen until `stop`; a lost session is opened again."""
        while not self._stopping.is_set():
            try:
                connection = await connect(self._database_url)
                async with connection:
                    await connection.execute(_LISTEN)
                    self._backoff.reset()
                    self.wake()  # whatever was committed before we listened
                    await self._listen(connection)
            except psycopg.Error as error:
                _log.info("listener.lost", detail=str(error))
                await self._backoff.wait(self._stopping)

    async def _listen(self, connection: psycopg.AsyncConnection[TupleRow]) -> None:
        asked_at = monotonic()
        while not self._stopping.is_set():
            async for _ in connection.notifies(timeout=1.0, stop_after=1):
                self.wake()
            # A connection that died without a word brings no hints, and waiting for hints never fails.
            if monotonic() - asked_at >= _ASK_INTERVAL_S:
                await connection.execute(
                    _LISTEN
                )  # again, which changes nothing: the session stays recognisable
                asked_at = monotonic()
