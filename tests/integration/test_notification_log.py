"""Reading the log on PostgreSQL: by topic, in stretches, by the index made for it."""

from __future__ import annotations

import psycopg
from eventsourcing.persistence import StoredEvent

from domain.batch_events import PUBLISHED_EVENTS, BatchRegistered, EssaySlotAssigned
from infrastructure.eventstore.codec import EventCodec
from infrastructure.eventstore.event_registry import EVENT_CLASSES, event_codec
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.log_slices import TO_THE_END, SliceQuery, as_stored_row
from infrastructure.eventstore.store import EventStore
from projections.recorded import Recorded
from tests.application.event_store_contract import append, recorded_by
from tests.golden.test_stored_events import RETIRED, old_registration
from tests.support.given import registered, slot_assigned, spellchecked
from tests.support.postgres_probe import PostgresProbe


async def read_all(log: NotificationLog, after: int = 0, limit: int = 1000) -> list[Recorded]:
    """Return what one read gives, and close the log."""
    try:
        return (await log.read(after, limit)).events
    finally:
        await log.close()


async def test_a_stretch_ends_where_its_last_event_or_the_log_does(store: EventStore, store_url: str) -> None:
    append(store, recorded_by(registered("e1"), spellchecked("e1"), spellchecked("e2"), slot_assigned("e1")))

    log = NotificationLog(store_url, event_codec(), [BatchRegistered.topic, EssaySlotAssigned.topic])
    try:
        first = await log.read(0, 1)
        assert ([r.notification_id for r in first.events], first.reached, first.is_full) == ([1], 1, True)
        assert await log.count_after(first.reached) == 1
        second = await log.read(1, 2)
        assert ([r.notification_id for r in second.events], second.reached, second.is_full) == (
            [4],
            4,
            False,
        )
        nothing = await log.read(4, 2)
        assert (nothing.events, nothing.reached, nothing.is_full) == ([], 4, False)
        assert await log.head() == 4
        assert await log.count_after(4) == 0
    finally:
        await log.close()


async def test_an_empty_log_ends_at_zero(database: PostgresProbe, store_url: str) -> None:
    log = NotificationLog(store_url, event_codec(), [BatchRegistered.topic])

    assert await read_all(log) == []


async def test_events_of_older_versions_are_followed_too(database: PostgresProbe, store_url: str) -> None:
    database.put(old_registration("ras.batch.registered.v0", essays=["e2", "e1"], course="SV2/class-9"))
    log = NotificationLog(store_url, EventCodec(EVENT_CLASSES, RETIRED), [BatchRegistered.topic])

    [recorded] = await read_all(log)

    assert (recorded.event.essay_ids, recorded.event.class_id) == (("e1", "e2"), "class-9")


async def test_events_of_unknown_topics_do_not_concern_those_who_follow_others(
    store: EventStore, database: PostgresProbe, store_url: str
) -> None:
    database.put(StoredEvent("batch-b9", 1, "ras.batch.from-the-future.v9", b"{}"))
    append(store, recorded_by(registered("e1")))
    log = NotificationLog(store_url, event_codec(), [BatchRegistered.topic])

    assert [recorded.notification_id for recorded in await read_all(log)] == [2]


def test_the_publisher_reads_by_its_partial_index(database: PostgresProbe, store_url: str) -> None:
    """Of thirty events it wants one: it must not read over the others, now or with a generic plan."""
    database.execute(
        "INSERT INTO ras.stored_events (originator_id, originator_version, topic, state)"
        " SELECT 'batch-' || n / 30, n, CASE WHEN n %% 30 = 0 THEN %s"
        " ELSE 'ras.batch.essay-spellchecked.v1' END, '{}' FROM generate_series(1, 6000) AS n",
        PUBLISHED_EVENTS[0].topic,
    )
    database.execute("ANALYZE ras.stored_events")
    query = SliceQuery([event.topic for event in PUBLISHED_EVENTS], max_bytes=1_000_000)
    parameters = query.parameters(3000, TO_THE_END, 1000)
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        select = query.statement.as_string(connection)
        lines = connection.execute(f"EXPLAIN {select}".encode(), parameters, prepare=True).fetchall()

    plan = "\n".join(line for (line,) in lines)
    assert "Index Scan using stored_events_published_idx" in plan, plan
    assert "Sort" not in plan, plan


def test_a_stretch_is_bounded_in_bytes_and_has_its_first_event_however_large(
    database: PostgresProbe, store_url: str
) -> None:
    sizes = [80_000, 80_000, 10, *[20_000] * 6, 90_000, 10]
    for number, size in enumerate(sizes, 1):
        database.put(StoredEvent("batch-b", number, "some-topic", b"x" * size))
    query = SliceQuery(["some-topic"], max_bytes=50_000)
    stretches: list[list[int]] = []
    after = 0
    with psycopg.connect(store_url, row_factory=as_stored_row) as connection:
        while True:
            with connection.cursor(binary=True) as cursor:
                cursor.execute(query.statement, query.parameters(after, TO_THE_END, 5))
                rows = cursor.fetchall()
            stretches.append([len(row.state) for row in rows])
            if not query.is_cut(rows, 5):
                break
            after = rows[-1].notification_id

    assert stretches == [
        [80_000],
        [80_000],
        [10, 20_000, 20_000, 20_000],
        [20_000, 20_000, 20_000],
        [90_000],
        [10],
    ]
