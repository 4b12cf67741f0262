"""Filling the new sides from the log, at full speed and in constant memory.

Theory of operation. One pass over the log serves all sides: an event is read and decoded once, however
many projections want it. The log is read in pages bounded by events and by bytes; this thread decodes a
page and folds it into statements while a second thread has the database carry out those of the page
before. Each takes about half of the time (measured, `docs/performance.md`), so both cores of a small
machine are at work, and more pages ahead would only cost memory. The rows of a page and the positions
that it leads to are one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self, TypeVar

import psycopg
from psycopg import sql
from sqlalchemy import Connection

from infrastructure.eventstore.codec import EventCodec, StoredRow
from infrastructure.garbage import PacedCollector
from infrastructure.postgres.rows import encoded
from infrastructure.rebuild import sides
from projections.projection import Projection, Statement
from projections.recorded import Recorded

PAGE_EVENTS: Final = 12_000
PAGE_BYTES: Final = 8_000_000
FETCHED_AT_ONCE: Final = 1_000

OnPage = Callable[[int, int], None]
"""Told after each page: how many events it had, and the notification id that was reached."""


class Side(Protocol):
    """A side that is being filled; values, so that a void transaction leaves the one before."""

    @property
    def projection(self) -> Projection: ...
    @property
    def schema(self) -> str: ...
    @property
    def position(self) -> int: ...
    def advanced(self, connection: Connection, to: int) -> Any: ...


_Side = TypeVar("_Side", bound=Side)


class Page(NamedTuple):
    """A stretch of the log up to and including `reached`."""

    events: list[Recorded]
    reached: int


class LogPages:
    """The log in pages, for those topics that `projections` follow."""

    def __init__(
        self,
        database_url: str,
        codec: EventCodec,
        projections: Sequence[Projection],
    ) -> None:
        self._codec = codec
        self._connection = psycopg.connect(database_url, connect_timeout=5)
        topics = dict.fromkeys(topic for projection in projections for topic in projection.topics)
        self._select = sql.SQL(
            "SELECT notification_id, originator_id, originator_version, topic, state FROM ras.stored_events"
            " WHERE notification_id > %s AND notification_id <= %s AND topic IN ({})"
            " ORDER BY notification_id"
        ).format(sql.SQL(", ").join(sql.Literal(topic) for topic in codec.stored_under(topics)))

    def head(self) -> int:
        """Return the highest notification id, 0 for an empty log."""
        with self._connection.transaction():
            found = self._connection.execute("SELECT max(notification_id) FROM ras.stored_events").fetchone()
        return (found[0] or 0) if found else 0

    def pages(self, after: int, goal: int) -> Iterator[Page]:
        """Yield what lies after the notification id `after`, up to and including `goal`.

        A transaction a page: one around all of them would keep the server from cleaning up for as long.
        """
        while after < goal:
            rows = self._rows(after, goal)
            events = [Recorded(row.notification_id, self._codec.to_domain_event(row)) for row in rows]
            is_last = len(rows) < PAGE_EVENTS and _size(rows) < PAGE_BYTES
            after = goal if is_last else rows[-1].notification_id
            yield Page(events, after)

    def _rows(self, after: int, goal: int) -> list[StoredRow]:
        rows: list[StoredRow] = []
        size = 0
        # The server keeps the result: a page of large dead letters must not be fetched as a whole.
        with (
            self._connection.transaction(),
            self._connection.cursor("page", row_factory=_as_event) as cursor,
        ):
            cursor.format = psycopg.pq.Format.BINARY
            cursor.execute(self._select, (after, goal))
            while size < PAGE_BYTES and len(rows) < PAGE_EVENTS:
                fetched = cursor.fetchmany(min(FETCHED_AT_ONCE, PAGE_EVENTS - len(rows)))
                if not fetched:
                    break
                rows += fetched
                size += _size(fetched)
        return rows

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _as_event(_cursor: Any) -> Callable[[Sequence[Any]], StoredRow]:
    return StoredRow._make


def _size(rows: Sequence[StoredRow]) -> int:
    return sum(len(row.state) for row in rows)


class _Work(NamedTuple):
    """What a page comes to for one side, `number` of those that are being filled."""

    number: int
    statements: list[Statement]
    to: int


def fill(
    connection: Connection, log: LogPages, goals: Mapping[_Side, int], on_page: OnPage = lambda *_: None
) -> list[_Side]:
    """Bring each side up to its goal (a notification id, inclusive) and return the sides as they are then.

    Interrupted, it waits for the transaction at hand; what was filled by then stays filled.
    """
    standing: list[Any] = list(goals)
    collector = PacedCollector()
    collector.start()
    try:
        # Its end waits for the write at hand, also when something is raised here.
        with ThreadPoolExecutor(1, thread_name_prefix="ras-rebuild") as writer:
            writing: Future[list[Any]] | None = None
            for events, reached, work in _worked_out(log, goals):
                standing = writing.result() if writing is not None else standing
                writing = writer.submit(_write, connection, standing, work)
                on_page(events, reached)
                collector.after(events)
            return writing.result() if writing is not None else standing
    finally:
        collector.stop()


def fill_within(connection: Connection, log: LogPages, side: _Side, goal: int) -> _Side:
    """Bring one side up to its goal within the transaction that is open, and return it as it is then."""
    standing: list[Any] = [side]
    for _, _, work in _worked_out(log, {side: goal}):
        standing = _carry_out(connection, standing, work)
    filled: _Side = standing[0]
    return filled


def _worked_out(log: LogPages, goals: Mapping[_Side, int]) -> Iterator[tuple[int, int, list[_Work]]]:
    """Yield for each page how many events it has, up to where, and what they come to for each side."""
    positions = [side.position for side in goals]
    behind = [side.position for side, goal in goals.items() if side.position < goal]
    if not behind:
        return
    for page in log.pages(min(behind), max(goals.values())):
        work = []
        for number, (side, goal) in enumerate(goals.items()):
            begin, to = positions[number], min(page.reached, goal)
            if begin < to:
                work.append(_Work(number, _statements(side.projection, page.events, begin, to), to))
                positions[number] = to
        yield len(page.events), page.reached, work


def _statements(projection: Projection, events: Sequence[Recorded], begin: int, end: int) -> list[Statement]:
    wanted = [
        each
        for each in events
        if begin < each.notification_id <= end and isinstance(each.event, projection.events)
    ]
    statements = projection.statements(wanted) if wanted else ()
    return [Statement(s.executable, encoded(s.parameters)) for s in statements]


def _write(connection: Connection, standing: list[Any], work: Sequence[_Work]) -> list[Any]:
    with connection.begin():
        return _carry_out(connection, standing, work)


def _carry_out(connection: Connection, standing: list[Any], work: Sequence[_Work]) -> list[Any]:
    standing = list(standing)
    for number, statements, to in work:
        side = standing[number]
        standing[number] = side.advanced(connection, to)
        elsewhere = sides.instead_of_live(side.projection, side.schema)
        for executable, parameters in statements:
            connection.execute(executable, parameters, execution_options=elsewhere)
    return standing
