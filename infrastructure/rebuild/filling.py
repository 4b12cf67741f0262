"""Fills the new sides from the log, at full speed and in constant memory.

Theory of operation. One pass over the log serves all sides: an event is read and decoded once, however
many projections want it, folded into their rows and let go. This thread decodes and folds; one thread reads
ahead, and each side has a session and a thread that has the database carry out what the stretch before came
to. A stretch ends when its side's session is free to take it: the slower the database, the more events a
stretch has, and the cheaper each is, because what several events do to a row comes down to one change. A
stretch is bounded in events and bytes, and so is memory. Its rows and the position that it leads to are one
transaction.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from psycopg.rows import scalar_row
from sqlalchemy import Connection
from sqlalchemy.exc import StatementError

from infrastructure.eventstore.codec import EventCodec, StoredRow, UndecodableEventError
from infrastructure.eventstore.log_slices import SliceQuery, as_stored_row
from infrastructure.gc_pacing import GcPacer
from infrastructure.postgres.connections import connect_blocking
from infrastructure.postgres.refusals import refusal
from infrastructure.postgres.rows import encoded
from infrastructure.rebuild import sides
from infrastructure.rebuild.session import RebuildError, RefusedStretchError, writer_session
from projections.projection import Projection, Statement
from projections.recorded import Recorded

PAGE_EVENTS: Final = 24_000
PAGE_BYTES: Final = 16_000_000
WORTH_A_TRANSACTION: Final = 2_000
"""Events that a stretch has at least, unless the log ends or they are large."""
CHUNK_EVENTS: Final = 500
CHUNK_BYTES: Final = 2_000_000
CHUNKS_AHEAD: Final = 4
SWITCH_INTERVAL_S: Final = 0.0005
"""How long this thread may keep a reader or writer waiting whose server has answered; Python's own is 5 ms."""

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
_Rows = list[StoredRow]


class LogReader:
    """The log, for those topics that `projections` follow."""

    def __init__(
        self,
        database_url: str,
        codec: EventCodec,
        projections: Sequence[Projection],
    ) -> None:
        self._codec = codec
        # Each query for itself: a transaction around all would keep the server from cleaning up for as long.
        self._connection = connect_blocking(database_url, row_factory=as_stored_row)
        topics = dict.fromkeys(topic for projection in projections for topic in projection.topics)
        self._chunk = SliceQuery(codec.stored_under(topics), max_bytes=CHUNK_BYTES)

    def head(self) -> int:
        """Return the highest notification id, 0 for an empty log."""
        with self._connection.cursor(row_factory=scalar_row) as cursor:
            cursor.execute("SELECT coalesce(max(notification_id), 0) FROM ras.stored_events")
            return int(cursor.fetchone() or 0)

    def chunks(self, after: int, goal: int) -> Iterator[_Rows]:
        """Yield, a few at a time, the events after the notification id `after`, up to and including `goal`."""
        limit = min(CHUNK_EVENTS, PAGE_EVENTS)
        while after < goal:
            parameters = self._chunk.parameters(after, goal, limit)
            with self._connection.cursor(binary=True) as cursor:
                rows = cursor.execute(self._chunk.statement, parameters, prepare=True).fetchall()
            if rows:
                yield rows
            if not self._chunk.is_cut(rows, limit):
                return
            after = rows[-1].notification_id

    def decoded(self, row: StoredRow) -> Recorded:
        """Return the event of a row. Raises RebuildError for one that cannot be read."""
        try:
            return Recorded(row.notification_id, self._codec.to_domain_event(row))
        except UndecodableEventError as error:
            raise RebuildError(f"{error} Nothing was switched.") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Fold:
    """What a side makes of the stretch of the log after `position`, where its last one ended."""

    def __init__(self, side: Side, goal: int) -> None:
        self.position = side.position
        self._goal = goal
        self.projection: Final = side.projection
        self._begin()

    def _begin(self) -> None:
        self._changes = self.projection.changes()
        self._events = self._size = self._passed = 0

    def take(self, recorded: Recorded, size: int) -> None:
        """Fold in an event whose state has `size` bytes, if the side is behind it."""
        if self.position < recorded.notification_id <= self._goal:
            self._changes.take(recorded)
            self._events += 1
            self._size += size

    def passed(self, events: int) -> None:
        """Note that so many events were read, wanted or not."""
        self._passed += events

    def is_behind(self, reached: int) -> bool:
        """Whether the side has something to learn of what was read up to `reached`."""
        return self.position < min(reached, self._goal)

    @property
    def is_full(self) -> bool:
        """Whether no more may be ingested, or so much went by that the position should move."""
        return self._passed >= PAGE_EVENTS or self._size >= PAGE_BYTES

    @property
    def is_worth_a_transaction(self) -> bool:
        """Whether a database that has nothing to do should have it."""
        return self._events >= WORTH_A_TRANSACTION

    def ended(self, reached: int) -> tuple[list[Statement], int]:
        """Return what the stretch comes to and the position that it leads to, and begin the next."""
        self.position = min(reached, self._goal)
        statements = [Statement(s.executable, encoded(s.parameters)) for s in self._changes.statements()]
        self._begin()
        return statements, self.position


class _Folds:
    """The sides that learn from one pass over the log."""

    def __init__(self, log: LogReader, folds: Sequence[_Fold]) -> None:
        self._decoded = log.decoded
        self._folds = folds
        self._wanting: dict[type, list[_Fold]] = {}
        for fold in folds:
            for event_class in fold.projection.events:
                self._wanting.setdefault(event_class, []).append(fold)

    def take(self, rows: _Rows) -> None:
        """Decode rows of the log and fold them in."""
        for row in rows:
            recorded = self._decoded(row)
            for fold in self._wanting.get(type(recorded.event), ()):
                fold.take(recorded, len(row.state))
        for fold in self._folds:
            fold.passed(len(rows))


class _Lane:
    """A side with the session that writes it: while one stretch is written, the next is folded."""

    def __init__(self, connection: Connection, pool: Executor, side: Any, goal: int) -> None:
        self.fold: Final = _Fold(side, goal)
        self._connection = connection
        self._pool = pool
        self._side = side
        self._writing: Future[Any] | None = None

    def is_due(self, reached: int) -> bool:
        """Whether what was folded up to `reached` should be written now."""
        is_free = self._writing is None or self._writing.done()
        is_worth_it = self.fold.is_full or (is_free and self.fold.is_worth_a_transaction)
        return is_worth_it and self.fold.is_behind(reached)

    def write(self, reached: int) -> None:
        """Begin to write what was folded up to `reached`, once what is being written is."""
        side = self.settled()
        self._writing = self._pool.submit(write, self._connection, side, *self.fold.ended(reached))

    def settled(self) -> Any:
        """Wait for what is being written, and return the side as it is then."""
        if self._writing is not None:
            self._side, self._writing = self._writing.result(), None
        return self._side


def fill(
    database_url: str, log: LogReader, goals: Mapping[_Side, int], on_page: OnPage = lambda *_: None
) -> list[_Side]:
    """Bring each side up to its goal (a notification id, inclusive) and return the sides as they are then.

    Interrupted, it waits for the transactions at hand; what was filled by then stays filled. Raises
    RebuildError if somebody else writes them, or at an event that cannot be read.
    """
    behind = [(side.position, goal) for side, goal in goals.items() if side.position < goal]
    if not behind:
        return list(goals)
    begin, end = min(position for position, _ in behind), max(goal for _, goal in behind)
    collector = GcPacer()
    with ExitStack() as stack:
        stack.callback(collector.stop)
        collector.start()
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        connections = [stack.enter_context(writer_session(database_url)) for _ in goals]
        # Their end waits for what is being read and written, also when something is raised here.
        reader = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="ras-rebuild-read"))
        writers = stack.enter_context(ThreadPoolExecutor(len(goals), thread_name_prefix="ras-rebuild-write"))
        lanes = [_Lane(c, writers, *each) for c, each in zip(connections, goals.items(), strict=True)]
        folds = _Folds(log, [lane.fold for lane in lanes])
        events = 0
        for rows in _read_ahead(reader, log.chunks(begin, end)):
            folds.take(rows)
            events += len(rows)
            reached = rows[-1].notification_id
            due = [lane for lane in lanes if lane.is_due(reached)]
            for lane in due:
                lane.write(reached)
            if due:
                on_page(events, reached)
                collector.after(events)
                events = 0
        for lane in lanes:
            if lane.fold.is_behind(end):
                lane.write(end)
        on_page(events, end)
        return [lane.settled() for lane in lanes]


def fill_within(connection: Connection, log: LogReader, side: _Side, goal: int) -> _Side:
    """Bring one side up to its goal within the transaction that is open, and return it as it is then."""
    standing: Any = side
    fold = _Fold(side, goal)
    folds = _Folds(log, [fold])
    try:
        for rows in log.chunks(side.position, goal):
            folds.take(rows)
            if fold.is_full:
                standing = _carry_out(connection, standing, *fold.ended(rows[-1].notification_id))
        if fold.is_behind(goal):
            standing = _carry_out(connection, standing, *fold.ended(goal))
    except RefusedStretchError as error:
        # The transaction is void, and with it what moved the side so far.
        raise RefusedStretchError(side, error.to, error.reason) from error
    filled: _Side = standing
    return filled


def _read_ahead(reader: Executor, chunks: Iterator[_Rows]) -> Iterator[_Rows]:
    """Yield what `chunks` yields, while the next few are fetched already, by the one thread of `reader`."""
    fetching = deque(reader.submit(next, chunks, None) for _ in range(CHUNKS_AHEAD))
    while (some := fetching.popleft().result()) is not None:
        fetching.append(reader.submit(next, chunks, None))
        yield some


def write(connection: Connection, side: Any, statements: Sequence[Statement], to: int) -> Any:
    """Carry out `statements` and move the side's position to `to`, in a transaction; return the side as it is then."""
    with connection.begin():
        return _carry_out(connection, side, statements, to)


def _carry_out(connection: Connection, side: Any, statements: Sequence[Statement], to: int) -> Any:
    advanced = side.advanced(connection, to)
    elsewhere = sides.instead_of_live(side.projection, side.schema)
    try:
        for executable, parameters in statements:
            connection.execute(executable, parameters, execution_options=elsewhere)
    except StatementError as error:
        if (reason := refusal(error)) is None:
            raise
        raise RefusedStretchError(side, to, reason) from error
    return advanced
