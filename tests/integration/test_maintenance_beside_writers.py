"""Maintenance of the log's table runs beside the writers: neither waits for the other, and no event is skipped."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, LiteralString

import psycopg
import pytest
from psycopg import sql

from infrastructure.eventstore.store import EventStore
from tests.application.event_store_contract import append, recorded_by
from tests.integration.test_no_event_skipped import Reader
from tests.support.given import registered, slot_assigned
from tests.support.postgres_probe import PostgresProbe, opened_store, probe
from tests.support.waiting import wait_until

_PAGES: Final = 300
"""The slowed commands sleep a tenth of a second at each page: they would run for half a minute."""
_SLOWLY: Final = ("SET vacuum_cost_delay = '100ms'", "SET vacuum_cost_limit = 1")
_MAINTAINING: LiteralString = (
    "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'ShareUpdateExclusiveLock'"
    " AND relation = 'ras.stored_events'::regclass"
)
_FILL: LiteralString = (
    "INSERT INTO ras.stored_events (originator_id, originator_version, topic, state)"
    " SELECT 'filler-' || n, 1, 'none', decode(repeat('00', 1900), 'hex') FROM generate_series(1, %s) AS n"
)


@pytest.fixture
def filled(database: PostgresProbe) -> Iterator[PostgresProbe]:
    """A log of many pages, none of them known to be clean yet."""
    database.execute(_FILL, _PAGES * 4)
    yield database
    database.empty()


def test_a_session_with_the_lock_of_vacuum_stops_no_writer(
    database: PostgresProbe, store: EventStore, store_url: str
) -> None:
    with psycopg.connect(store_url) as maintenance:
        maintenance.execute("LOCK TABLE ras.stored_events IN SHARE UPDATE EXCLUSIVE MODE")
        append(store, recorded_by(registered("e1"), batch_id="beside"))
        assert database.value(_MAINTAINING) == 1

    assert [stream for _, stream, _ in database.log()] == ["batch-beside"]


@pytest.mark.parametrize("command", ["VACUUM", "VACUUM (FREEZE)", "ANALYZE"])
async def test_writers_go_on_during_maintenance_and_do_not_cancel_it(
    command: LiteralString, filled: PostgresProbe, store: EventStore, store_url: str
) -> None:
    with running(store_url, command, filled):
        await _write_from_several_sessions(store_url)
        append(store, recorded_by(registered("e1"), batch_id="last"))

        assert filled.value(_MAINTAINING) == 1, "the command has ended before the writers: nothing was shown"


def test_writers_go_on_while_an_index_is_built_concurrently(
    database: PostgresProbe, store: EventStore, store_url: str
) -> None:
    build: LiteralString = "CREATE INDEX CONCURRENTLY a_dbas_index ON ras.stored_events (topic)"
    append(store, recorded_by(registered("e1"), batch_id="early"))
    try:
        with ThreadPoolExecutor(1) as pool:
            with psycopg.connect(store_url) as older:
                # The build waits for this transaction, and holds its lock on the table meanwhile.
                older.execute("LOCK TABLE ras.stored_events IN ROW EXCLUSIVE MODE")
                building = pool.submit(_execute, store_url, build)
                wait_until(lambda: database.value(_MAINTAINING) == 1, what="the index is being built")
                append(store, recorded_by(registered("e1"), batch_id="meanwhile"))
                assert not building.done()
            building.result()
        assert database.value(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ras.a_dbas_index'::regclass"
        )
    finally:
        database.execute("DROP INDEX IF EXISTS ras.a_dbas_index")
    assert [stream for _, stream, _ in database.log()] == ["batch-early", "batch-meanwhile"]


@contextmanager
def running(store_url: str, command: LiteralString, looking: PostgresProbe) -> Iterator[None]:
    """Run a slowed command on the log's table around a block, and cancel it afterwards."""
    with psycopg.connect(store_url, autocommit=True) as session, ThreadPoolExecutor(1) as pool:
        for setting in _SLOWLY:
            session.execute(setting)
        slow = pool.submit(session.execute, sql.SQL(command + " ras.stored_events"))
        try:
            wait_until(lambda: looking.value(_MAINTAINING) == 1, what=f"{command} is under way")
            yield
        finally:
            session.cancel_safe()
            assert isinstance(slow.exception(), psycopg.errors.QueryCanceled)


async def _write_from_several_sessions(store_url: str, *, writers: int = 4, each: int = 25) -> None:
    """Write from several sessions beside a reader, which must see each event once and in order."""
    with probe(store_url) as looking:
        reader = Reader(store_url, limit=7)
        reader.position = looking.value("SELECT max(notification_id) FROM ras.stored_events")

        def write(writer: int) -> None:
            with opened_store(store_url) as own:
                for number in range(each):
                    append(
                        own, recorded_by(registered("e1"), slot_assigned("e1"), batch_id=f"{writer}-{number}")
                    )

        begun_at = reader.position
        with ThreadPoolExecutor(writers) as pool:
            writing = [pool.submit(write, writer) for writer in range(writers)]
            await reader.read_while(lambda: not all(done.done() for done in writing))
            for done in writing:
                done.result()
        assert len(reader.seen) == writers * each * 2
        assert reader.seen == [row for row in looking.log() if row[0] > begun_at]


def _execute(store_url: str, statement: LiteralString) -> None:
    with psycopg.connect(store_url, autocommit=True) as session:
        session.execute(statement)
