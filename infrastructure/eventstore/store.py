"""Events and positions in one transaction.

Theory of operation. A transaction that writes takes three things, always in this order:

1. The writers' lock. It is the only place where a writer waits for another one while holding nothing, so two
   writers cannot wait for each other. It is held until the commit is visible: PostgreSQL releases locks after
   that, so anyone who gets it next reads everything that the one before wrote (in READ COMMITTED, where each
   statement has a snapshot of its own; in REPEATABLE READ the snapshot would be older than the lock).
2. The positions, by compare-and-set. They come before the rows because a zombie fails here, before it has taken
   notification ids or written anything. They come after the lock because a writer that held a position and
   waited for the lock would deadlock with one that holds the lock and wants this position.
3. The rows. Notification ids are given out here, under the lock, so ids are committed in their order. An insert
   before the lock would have an id that a later one may overtake.

`claim` takes the lock, too, before it divides or joins positions. `enrol` inserts one before the lock, but never waits
for a writer of the log: what it inserts is its ingester's alone, or is there already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from eventsourcing.persistence import InterfaceError, InternalError, OperationalError, StoredEvent
from eventsourcing.postgres import PostgresDatastore
from psycopg import Cursor
from psycopg.errors import DataError, ProgramLimitExceeded, UniqueViolation

from application.intake_positions import Partition, Ranges
from application.ports import Advance, IntakeCounts, StreamConflictError, UnreadableEvents, UnstorableError
from domain.aggregate import DomainEvent
from domain.slices import SliceRange
from infrastructure.eventstore.codec import EventCodec, UndecodableEventError
from infrastructure.eventstore.positions import advance, claim, enrol
from infrastructure.eventstore.recorder import EventRecorder

TRANSIENT_ERRORS = (OperationalError, InterfaceError, InternalError)
"""The database is unavailable, restarting, read-only or full: wait and try again, nothing is wrong with the data."""


_COUNT: Final = """
    INSERT INTO ras.intake_counts AS c
        (topic, partition, taken_in, recorded, repeated, dead_lettered, parked)
    SELECT * FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
    ON CONFLICT (topic, partition) DO UPDATE SET
        taken_in = c.taken_in + excluded.taken_in,
        recorded = c.recorded + excluded.recorded,
        repeated = c.repeated + excluded.repeated,
        dead_lettered = c.dead_lettered + excluded.dead_lettered,
        parked = c.parked + excluded.parked
"""


class Transaction:
    """One database transaction on the store."""

    def __init__(self, cursor: Cursor[Any], recorder: EventRecorder, codec: EventCodec) -> None:
        self._cursor = cursor
        self._recorder = recorder
        self._codec = codec

    def lock(self) -> None:
        """Keep other writers out from here on: what is loaded now cannot be outrun."""
        self._recorder.lock(self._cursor)

    def load(
        self, after: Mapping[str, int], *, most: int
    ) -> Mapping[str, list[DomainEvent] | UnreadableEvents]:
        """Return the events of each stream after the version given, at most `most` of a stream."""
        stored: dict[str, list[StoredEvent]] = {}
        for event in self._recorder.select_streams(self._cursor, after, most):
            stored.setdefault(str(event.originator_id), []).append(event)
        return {stream_id: self._decoded(events) for stream_id, events in stored.items()}

    def claim(self, partitions: Sequence[Partition], slices: SliceRange) -> Mapping[Partition, Ranges]:
        """Return the positions of `slices`, made positions of these slices alone."""
        return claim(self._cursor, partitions, slices, lock=self.lock)

    def enrol(self, name: str) -> int:
        """Return an ingester's own position, 0 for a new one."""
        return enrol(self._cursor, name)

    def append(self, events: Sequence[DomainEvent], moves: Sequence[Advance]) -> None:
        """Append `events` and make `moves`.

        Raises StreamConflictError, StalePositionError or UnstorableError; the transaction is then void.
        """
        self.append_rows(
            self._codec.rows_of(events), moves
        )  # encoded before others have to wait for the lock

    def append_rows(self, rows: bytes, moves: Sequence[Advance]) -> None:
        """Append events that `EventCodec.rows_of` has encoded, and make `moves`. Raises as `append` does."""
        self._recorder.lock(self._cursor)
        if moves:
            advance(self._cursor, moves)
        if rows:
            try:
                self._recorder.insert(self._cursor, rows)
            except UniqueViolation as error:
                raise StreamConflictError(str(error)) from error
            except (DataError, ProgramLimitExceeded) as error:
                raise UnstorableError(f"{type(error).__name__}: {error}") from error

    def count(self, counts: Mapping[tuple[str, int], IntakeCounts]) -> None:
        """Add to the counts of each topic-partition."""
        rows = [
            (topic, number, c.taken_in, c.recorded, c.repeated, c.dead_lettered, c.parked)
            for (topic, number), c in sorted(counts.items())
        ]
        if rows:
            self._cursor.execute(_COUNT, [list(column) for column in zip(*rows, strict=True)], prepare=True)

    def _decoded(self, stored: list[StoredEvent]) -> list[DomainEvent] | UnreadableEvents:
        try:
            return [self._codec.to_domain_event(event) for event in stored]
        except UndecodableEventError as error:  # one stream must not stop the others
            return UnreadableEvents(stored[-1].originator_version, f"{error.place}: {error.reason}")


class EventStore:
    """The store of every aggregate's events. Calls block: keep them off the event loop."""

    def __init__(self, datastore: PostgresDatastore, codec: EventCodec) -> None:
        self._datastore = datastore
        self._recorder = EventRecorder(datastore)
        self._codec = codec

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run a block in one transaction: committed at its end, void if it raises."""
        with (
            self._recorder.connection() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            yield Transaction(cursor, self._recorder, self._codec)

    def close(self) -> None:
        """Close the connections."""
        self._datastore.close()
