"""No follower passes over an event: notification ids are committed in their order.

PostgreSQL gives out ids before commit, so without the lock a reader may see 2, move on, and never see 1.
The deterministic tests hold one insert open after it took its id: a trigger waits for an advisory lock
that the test holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from random import Random

import pytest
from eventsourcing.persistence import StoredEvent

from domain.batch_events import BatchRegistered, EssaySlotAssigned
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.store import EventStore
from tests.application.event_store_contract import CrashError, append, crash, recorded_by
from tests.support.given import registered, slot_assigned
from tests.support.postgres_probe import PostgresProbe, opened_store, probe
from tests.support.waiting import wait_until

WRITERS = 8
TRANSACTIONS_EACH = 60
TOPICS = (BatchRegistered.topic, EssaySlotAssigned.topic)

HELD = 7_000_001
"""The advisory lock for which inserts into streams called batch-held… wait."""

_HOLD_INSERTS = """
    CREATE FUNCTION ras.hold() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(7000001); RETURN NULL; END $$;
    CREATE TRIGGER hold AFTER INSERT ON ras.stored_events FOR EACH ROW
    WHEN (NEW.originator_id LIKE 'batch-held%%') EXECUTE FUNCTION ras.hold()
"""


class Reader:
    """A follower's way through the log, step by step."""

    def __init__(self, database_url: str, limit: int = 1000) -> None:
        self._database_url = database_url
        self._limit = limit
        self.position = 0
        self.seen: list[tuple[int, str, int]] = []

    async def read_on(self) -> list[str]:
        """Read what is there now; return the streams of the new events."""
        known = len(self.seen)
        await self.read_while(lambda: False)
        return [stream for _, stream, _ in self.seen[known:]]

    async def read_while(self, writing: Callable[[], bool]) -> None:
        """Read without pause as long as others are `writing`, and then what is left."""
        log = NotificationLog(self._database_url, event_codec(), TOPICS)
        try:
            more_to_come = True
            while more_to_come:
                more_to_come = writing()
                while await self._step(log):
                    pass
        finally:
            await log.close()

    async def _step(self, log: NotificationLog) -> bool:
        stretch = await log.read(self.position, self._limit)
        for notification_id, event in stretch.events:
            self.seen.append((notification_id, event.originator_id, event.originator_version))
        self.position = stretch.reached
        return stretch.is_full


async def test_many_writers_and_a_reader_that_sees_each_event_once_in_order(
    database: PostgresProbe, store_url: str
) -> None:
    reader = Reader(store_url, limit=7)

    def write(writer: int) -> None:
        dice = Random(writer)
        with opened_store(store_url) as store:
            for number in range(TRANSACTIONS_EACH):
                essays = [f"e{n}" for n in range(dice.randint(1, 4))]
                events = recorded_by(
                    registered(*essays), *map(slot_assigned, essays), batch_id=f"{writer}-{number}"
                )
                if dice.random() < 0.2:
                    with suppress(CrashError):
                        crash(store)
                append(store, events)

    with ThreadPoolExecutor(WRITERS) as pool:
        writing = [pool.submit(write, writer) for writer in range(WRITERS)]
        await reader.read_while(lambda: not all(done.done() for done in writing))
        for done in writing:
            done.result()

    assert len({stream for _, stream, _ in reader.seen}) == WRITERS * TRANSACTIONS_EACH
    assert reader.seen == database.log()
    assert all(earlier[0] < later[0] for earlier, later in pairwise(reader.seen))


@pytest.fixture
def held(database: PostgresProbe) -> Iterator[PostgresProbe]:
    """The database with the trigger that holds inserts open."""
    database.execute(_HOLD_INSERTS)
    yield database
    database.execute("DROP FUNCTION ras.hold() CASCADE")


async def test_a_reader_cannot_pass_an_insert_that_is_still_open(
    held: PostgresProbe, store: EventStore, store_url: str
) -> None:
    reader = Reader(store_url)
    append(store, recorded_by(registered("e1"), batch_id="early"))
    with ThreadPoolExecutor(2) as pool:
        with held.holding(HELD):
            first = pool.submit(append, store, recorded_by(registered("e1"), batch_id="held"))
            wait_until(lambda: bool(held.waiting("advisory")), what="the first insert is held open")
            second = pool.submit(append, store, recorded_by(registered("e1"), batch_id="later"))
            wait_until(lambda: bool(held.writers_waiting()), what="the second writer waits for the first")

            assert await reader.read_on() == ["batch-early"]
            assert reader.position == 1
        first.result()
        second.result()

    assert await reader.read_on() == ["batch-held", "batch-later"]
    assert reader.seen == held.log()


async def test_without_the_lock_the_same_reader_would_skip(
    held: PostgresProbe, store: EventStore, store_url: str
) -> None:
    """Shows that the test above can fail: the second writer inserts around the store."""
    reader = Reader(store_url)
    with ThreadPoolExecutor(1) as pool:
        with held.holding(HELD):
            first = pool.submit(raw_insert, store_url, registration(batch_id="held"))
            wait_until(lambda: bool(held.waiting("advisory")), what="the first insert is held open")
            held.put(registration(batch_id="later"))

            assert await reader.read_on() == ["batch-later"]
        first.result()

    assert await reader.read_on() == []
    assert [stream for _, stream, _ in held.log()] == ["batch-held", "batch-later"]
    assert [stream for _, stream, _ in reader.seen] == ["batch-later"]


async def test_rolled_back_inserts_leave_gaps_that_nobody_waits_for(
    store: EventStore, database: PostgresProbe, store_url: str
) -> None:
    reader = Reader(store_url)
    append(store, recorded_by(registered("e1"), batch_id="b1"))
    for _ in range(5):
        with pytest.raises(CrashError):
            crash(store)
    assert await reader.read_on() == ["batch-b1"]
    append(store, recorded_by(registered("e1"), batch_id="b2"))

    assert await reader.read_on() == ["batch-b2"]
    assert [number for number, _, _ in database.log()] == [1, 7]


async def test_a_reader_of_few_topics_moves_over_the_others(store: EventStore, store_url: str) -> None:
    append(store, recorded_by(registered("e1"), slot_assigned("e1"), batch_id="b1"))

    async def read() -> tuple[int, int]:
        log = NotificationLog(store_url, event_codec(), [BatchRegistered.topic])
        try:
            stretch = await log.read(0, 10)
            return len(stretch.events), stretch.reached
        finally:
            await log.close()

    assert await read() == (1, 2)


def registration(*, batch_id: str) -> StoredEvent:
    """Return a batch's registration in stored form."""
    [event] = recorded_by(registered("e1"), batch_id=batch_id)
    return event_codec().to_stored_event(event)


def raw_insert(store_url: str, event: StoredEvent) -> None:
    """Insert around the store, in a session of its own."""
    with probe(store_url) as session:
        session.put(event)
