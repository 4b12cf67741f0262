"""Followers run for a test, and a projection that shows each event it was given: nothing hides a repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry
from sqlalchemy import BigInteger, Column, MetaData, Table, text

from domain.batch_events import BatchRegistered, EssaySlotAssigned
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.log import LogListener, NotificationLog
from infrastructure.followers.follower import Follower, Sink
from infrastructure.followers.projector import ProjectionSink
from infrastructure.resilience import Backoff, CircuitBreaker
from infrastructure.role_status import RoleStatus
from infrastructure.telemetry import RoleMetrics
from projections.projection import Projection, Statement, schema_of
from projections.recorded import Recorded
from tests.support.postgres_probe import PostgresProbe
from tests.support.waiting import wait_until

_metadata: Final = MetaData(schema=schema_of("ledger"))
Table("entries", _metadata, Column("notification_id", BigInteger))  # no key: a repeat becomes a second row
_ENTER: Final = text("INSERT INTO ras_ledger.entries (notification_id) SELECT unnest(CAST(:ids AS bigint[]))")

HELD: Final = 7_000_002
"""The advisory lock for which entries in the ledger wait after `hold_entries`."""

_MAKE_LEDGER: Final = """
    INSERT INTO ras.read_models (name, version) VALUES ('ledger', 1) ON CONFLICT DO NOTHING;
    CREATE SCHEMA ras_ledger;
    CREATE TABLE ras_ledger.entries (notification_id bigint);
    CREATE TABLE ras_ledger.moves (number bigserial, came_from bigint, went_to bigint);
    CREATE FUNCTION ras_ledger.note_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO ras_ledger.moves (came_from, went_to) VALUES (OLD.position, NEW.position);
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_move AFTER UPDATE ON ras.positions FOR EACH ROW
    WHEN (NEW.name = 'projection/ledger') EXECUTE FUNCTION ras_ledger.note_move();
    CREATE FUNCTION ras_ledger.hold() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(7000002); RETURN NULL; END $$
"""
_HOLD_ENTRIES: Final = (
    "CREATE TRIGGER hold AFTER INSERT ON ras_ledger.entries"
    " FOR EACH STATEMENT EXECUTE FUNCTION ras_ledger.hold()"
)


class _Entries:
    """The ids of a batch of events."""

    def __init__(self) -> None:
        self._ids: list[int] = []

    def take(self, recorded: Recorded) -> None:
        self._ids.append(recorded.notification_id)

    def statements(self) -> Iterator[Statement]:
        yield Statement(_ENTER, {"ids": self._ids})


LEDGER: Final = Projection(
    name="ledger",
    version=1,
    events=(BatchRegistered, EssaySlotAssigned),
    metadata=_metadata,
    changes=_Entries,
)


class Ledger:
    """What the followers of the ledger did, as the database shows it."""

    def __init__(self, database: PostgresProbe) -> None:
        self._database = database
        database.execute(_MAKE_LEDGER)

    @property
    def entries(self) -> list[int]:
        """Every entry, in order of the ids."""
        return [
            n for (n,) in self._database.rows("SELECT notification_id FROM ras_ledger.entries ORDER BY 1")
        ]

    @property
    def moves(self) -> list[tuple[int, int]]:
        """Every move of the position, in the order of the moves."""
        rows = self._database.rows("SELECT came_from, went_to FROM ras_ledger.moves ORDER BY number")
        return [(came_from, went_to) for came_from, went_to in rows]

    @property
    def position(self) -> int:
        """The position, 0 before the first."""
        return self._database.positions().get("projection/ledger", 0)

    def hold_entries(self) -> None:
        """Let every transaction wait for the lock HELD after it made its entries."""
        self._database.execute(_HOLD_ENTRIES)


@dataclass
class Crew:
    """Followers of one database that share a listener. Intervals in seconds."""

    database_url: str
    listener: LogListener
    poll_interval_s: float
    max_events: int
    metrics: RoleMetrics = field(default_factory=lambda: RoleMetrics(CollectorRegistry()))

    def sink(self, projection: Projection = LEDGER) -> ProjectionSink:
        """Return the real sink of a projection."""
        return ProjectionSink(projection, self.database_url, idle_interval_s=0)

    def follower(
        self,
        projection: Projection = LEDGER,
        *,
        sink: Sink | None = None,
        log_class: Callable[..., NotificationLog] = NotificationLog,
    ) -> Follower:
        """Return a follower as the composition root makes it, with quick retries."""
        return Follower(
            projection.name,
            log=log_class(self.database_url, event_codec(), projection.topics),
            listener=self.listener,
            sink=sink or self.sink(projection),
            max_events=self.max_events,
            poll_interval_s=self.poll_interval_s,
            backoff=Backoff(0.001, 0.05),
            breaker=CircuitBreaker(failures=5, reset_after_s=0.05),
            status=RoleStatus(projection.name),
            metrics=self.metrics,
        )

    @property
    def faults(self) -> float:
        """How many faults the ledger's followers waited out."""
        counted: float = self.metrics.faults.labels("ledger")._value.get()
        return counted


@asynccontextmanager
async def crew(
    database_url: str,
    *,
    poll_interval_s: float = 0.02,
    max_events: int = 100,
    listener_backoff_s: float = 0.01,
) -> AsyncIterator[Crew]:
    """A crew. Followers are started by `at_work`."""
    listener = LogListener(database_url, Backoff(listener_backoff_s, listener_backoff_s))
    yield Crew(database_url, listener, poll_interval_s, max_events)


@asynccontextmanager
async def at_work(members: Crew, *followers: Follower) -> AsyncIterator[None]:
    """Followers and their listener at work; all of them are ended, and awaited, in the end."""
    listening = asyncio.create_task(members.listener.run())
    following = [asyncio.create_task(follower.run()) for follower in followers]
    try:
        yield
    finally:
        for follower in followers:
            follower.stop()
        await asyncio.gather(*following)
        listening.cancel()  # asked to stop, it would wait out its current look at the connection
        with suppress(asyncio.CancelledError):
            await listening


async def until(happened: Callable[[], bool], *, what: str, state: Callable[[], Any] = str) -> None:
    """Wait in a thread of its own, so that the followers go on meanwhile."""
    await asyncio.to_thread(wait_until, happened, what=what, state=state)
