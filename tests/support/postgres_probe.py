"""A database of RAS as tests see it: the store opened, the tables looked at, sessions watched and ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg.rows import TupleRow

from application.intake_positions import Partition
from application.ports import IntakeCounts
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.recorder import WRITERS_LOCK_KEY
from infrastructure.eventstore.store import EventStore
from infrastructure.postgres.connections import event_datastore
from infrastructure.postgres.sessions import ROLE_LIMITS, Limits


@contextmanager
def opened_store(database_url: str, *, limits: Limits = ROLE_LIMITS) -> Iterator[EventStore]:
    """The event store of an initialised database."""
    store = EventStore(event_datastore(database_url, limits=limits), event_codec())
    try:
        yield store
    finally:
        store.close()


class PostgresProbe:
    """One session beside everybody else's, in autocommit mode."""

    def __init__(self, connection: psycopg.Connection[TupleRow]) -> None:
        self._connection = connection

    def rows(self, query: LiteralString, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        return self._connection.execute(query, parameters).fetchall()

    def value(self, query: LiteralString, *parameters: Any) -> Any:
        """Run a query that gives one value and return it."""
        [(value,)] = self.rows(query, *parameters)
        return value

    def empty(self) -> None:
        """Take everything out of the store; its notification ids begin at 1 again."""
        self.execute(
            "TRUNCATE ras.stored_events, ras.positions, ras.intake_counts, ras.log_beginnings RESTART IDENTITY"
        )

    def execute(self, statement: LiteralString, *parameters: Any) -> None:
        """Run a statement."""
        self._connection.execute(statement, parameters)

    def log(self) -> list[tuple[int, str, int]]:
        """Return (notification id, stream, version) of every event, in the order of the log."""
        return [
            (number, stream, version)
            for number, stream, version in self.rows(
                "SELECT notification_id, originator_id, originator_version"
                " FROM ras.stored_events ORDER BY notification_id"
            )
        ]

    def stored(self) -> list[StoredEvent]:
        """Return every event as it is stored, in the order of the log."""
        return [
            StoredEvent(*row)
            for row in self.rows(
                "SELECT originator_id, originator_version, topic, state"
                " FROM ras.stored_events ORDER BY notification_id"
            )
        ]

    def put(self, stored: StoredEvent) -> None:
        """Insert an event around the store, without its lock."""
        self.execute(
            "INSERT INTO ras.stored_events (originator_id, originator_version, topic, state)"
            " VALUES (%s, %s, %s, %s)",
            *(stored.originator_id, stored.originator_version, stored.topic, stored.state),
        )

    def positions(self, prefix: str = "") -> dict[str, int]:
        """Return every position, or those whose names begin with `prefix`, by name."""
        return dict(self.rows("SELECT name, position FROM ras.positions WHERE starts_with(name, %s)", prefix))

    def ingested(self) -> dict[Partition, int]:
        """Return the offset up to which everything is ingested, by topic-partition: of all slices."""
        found: dict[Partition, int] = {}
        for name, position in self.positions("intake/").items():
            _, topic, number, *_ = name.split("/")
            partition = (topic, int(number))
            found[partition] = min(position, found.get(partition, position))
        return found

    def counts(self) -> Mapping[tuple[str, int], IntakeCounts]:
        """Return the intake counts of every topic-partition."""
        return {
            (topic, partition): IntakeCounts(*counts)
            for topic, partition, *counts in self.rows(
                "SELECT topic, partition, taken_in, recorded, repeated, dead_lettered, parked"
                " FROM ras.intake_counts"
            )
        }

    def waiting(self, locktype: str) -> list[int]:
        """Return the process ids of the sessions in this database that wait for a lock of `locktype`."""
        return [
            pid
            for (pid,) in self.rows(
                "SELECT l.pid FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid"
                " WHERE NOT l.granted AND l.locktype = %s AND a.datname = current_database()",
                locktype,
            )
        ]

    def sessions_with_the_lock(self) -> list[int]:
        """Return the process ids of the sessions that hold the lock of those who write the log."""
        return self._at_the_lock(granted=True)

    def writers_waiting(self) -> list[int]:
        """Return the process ids of the sessions that wait for the lock of those who write the log."""
        return self._at_the_lock(granted=False)

    def _at_the_lock(self, *, granted: bool) -> list[int]:
        return [
            pid
            for (pid,) in self.rows(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted = %s"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                *(WRITERS_LOCK_KEY, granted),
            )
        ]

    def sessions_of_the_store(self) -> list[int]:
        """Return the process ids of the sessions in this database whose last statement is one of the store."""
        return [
            pid
            for (pid,) in self.rows(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND (query ~ 'ras.\\W*(stored_events|positions|intake_counts)'"
                " OR query ~ '^(NOTIFY|SET LOCAL|COMMIT|BEGIN)')"
            )
        ]

    def listening(self) -> list[int]:
        """Return the process ids of the sessions in this database whose last statement was LISTEN."""
        return [
            pid
            for (pid,) in self.rows(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%%'"
            )
        ]

    def terminate(self, pid: int) -> None:
        """End a session as an administrator does, and wait until it is gone, if it is not gone already."""
        ended = self.value("SELECT pg_terminate_backend(%s, 20000)", pid)
        still_there = self.rows("SELECT FROM pg_stat_activity WHERE pid = %s", pid)
        assert ended or not still_there, f"session {pid} did not end"

    @contextmanager
    def holding(self, key: int) -> Iterator[None]:
        """Hold an advisory lock around a block: anyone who asks for it waits until the block ends."""
        self.execute("SELECT pg_advisory_lock(%s)", key)
        try:
            yield
        finally:
            self.execute("SELECT pg_advisory_unlock(%s)", key)


@contextmanager
def probe(database_url: str) -> Iterator[PostgresProbe]:
    """A probe on a database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield PostgresProbe(connection)
