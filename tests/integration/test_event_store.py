"""The event store on PostgreSQL: the contract, and what only a real server can show."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Thread
from typing import NamedTuple

import pytest
from eventsourcing.persistence import StoredEvent

from application.ports import EventStorePort, IntakeCounts
from infrastructure.eventstore.recorder import EventRecorder
from infrastructure.eventstore.store import TRANSIENT_ERRORS, EventStore
from infrastructure.local.processes import free_port
from infrastructure.postgres import connections as postgres_connections
from infrastructure.postgres.connections import event_datastore
from infrastructure.postgres.schema import initialise
from infrastructure.postgres.sessions import ROLE_LIMITS
from infrastructure.roles.bootstrap import event_store
from tests.application.event_store_contract import EventStoreContract, append, loaded, recorded_by
from tests.support.given import registered, spellchecked
from tests.support.postgres_probe import PostgresProbe, opened_store, probe
from tests.support.waiting import wait_until


class PostgresUnderTest:
    """The real store, as the contract wants to see it."""

    def __init__(self, store: EventStore, database: PostgresProbe) -> None:
        self._store = store
        self._database = database

    @property
    def store(self) -> EventStorePort:
        return self._store

    def log(self) -> list[tuple[int, str, int]]:
        return self._database.log()

    def counts(self) -> Mapping[tuple[str, int], IntakeCounts]:
        return self._database.counts()

    def put(self, stored: StoredEvent) -> None:
        self._database.put(stored)

    def put_position(self, name: str, position: int) -> None:
        self._database.execute("INSERT INTO ras.positions (name, position) VALUES (%s, %s)", name, position)


class TestEventStore(EventStoreContract):
    """The real store under the contract."""

    @pytest.fixture
    def subject(self, store: EventStore, database: PostgresProbe) -> PostgresUnderTest:
        """An empty store on PostgreSQL."""
        return PostgresUnderTest(store, database)


def test_a_writer_waits_for_the_one_before_it(store: EventStore, database: PostgresProbe) -> None:
    second = Thread(target=append, args=(store, recorded_by(registered("e2"), batch_id="second")))
    with store.transaction() as first:
        first.lock()
        second.start()
        wait_until(lambda: bool(database.writers_waiting()), what="the second writer asks for the lock")
        first.append(recorded_by(registered("e1"), batch_id="first"), [])
    second.join()

    assert database.log() == [(1, "batch-first", 1), (2, "batch-second", 1)]


def test_readers_do_not_wait_for_a_writer(store: EventStore) -> None:
    events = recorded_by(registered("e1"))
    append(store, events)
    with store.transaction() as writer:
        writer.append(recorded_by(registered("e2"), batch_id="b2"), [])

        assert loaded(store, "batch-b1", "batch-b2") == {"batch-b1": events}


def test_a_lock_that_is_held_too_long_is_a_transient_fault(database: PostgresProbe, store_url: str) -> None:
    with opened_store(store_url, limits=ROLE_LIMITS._replace(lock_s=1)) as impatient:
        with impatient.transaction() as writer:
            writer.lock()
            with pytest.raises(TRANSIENT_ERRORS, match="lock timeout"):
                append(impatient, recorded_by(registered("e1")))
        append(impatient, recorded_by(registered("e1")))

    assert len(database.log()) == 1


def test_a_writer_that_hangs_loses_its_session_and_frees_the_others(
    database: PostgresProbe, store_url: str
) -> None:
    with opened_store(store_url, limits=ROLE_LIMITS._replace(idle_in_transaction_s=0.2)) as store:

        def hang() -> None:
            with store.transaction() as hung:
                hung.append(recorded_by(registered("e1"), batch_id="lost"), [])
                append(store, recorded_by(registered("e2"), batch_id="saved"))  # waits for the lock

        with pytest.raises(TRANSIENT_ERRORS):
            hang()

    assert [stream for _, stream, _ in database.log()] == ["batch-saved"]


def test_a_session_that_is_ended_in_mid_transaction_is_a_transient_fault(
    store: EventStore, database: PostgresProbe
) -> None:
    def be_ended() -> None:
        with store.transaction() as transaction:
            transaction.append(recorded_by(registered("e1")), [])
            [writer] = database.sessions_with_the_lock()
            database.terminate(writer)
            transaction.load({"batch-b1": 0}, most=1000)

    with pytest.raises(TRANSIENT_ERRORS):
        be_ended()
    assert database.log() == []

    append(store, recorded_by(registered("e1"), spellchecked("e1")))
    assert len(database.log()) == 2


def test_no_server_is_a_transient_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connections, "CONNECT_TIMEOUT_S", 1)
    with pytest.raises(TRANSIENT_ERRORS):
        event_store(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")


def test_what_the_library_makes_leaves_out_the_function_that_inserts_without_the_lock(
    database_url: str,
) -> None:
    initialise(database_url)
    with probe(database_url) as database, event_datastore(database_url) as connections:
        EventRecorder(connections).create_table()

        assert database.rows("SELECT proname FROM pg_proc WHERE proname LIKE '%%insert_events%%'") == []


def test_the_table_is_the_one_that_the_library_makes(database_url: str) -> None:
    """The migration writes it out; this tells when a new version of the library wants another."""
    initialise(database_url)
    with probe(database_url) as database, event_datastore(database_url) as connections:
        ours = described(database)
        database.execute("DROP TABLE ras.stored_events")
        EventRecorder(connections).create_table()
        theirs = described(database)

    assert ours.columns == theirs.columns
    assert theirs.indexes < ours.indexes
    assert ours.options == theirs.options


class TableDescription(NamedTuple):
    """What makes a table what it is."""

    columns: list[tuple[str, str, str | None]]
    indexes: set[str]
    options: list[str]


def described(database: PostgresProbe) -> TableDescription:
    """Return the description of the table of events."""
    columns = database.rows(
        "SELECT column_name, data_type, column_default FROM information_schema.columns"
        " WHERE table_schema = 'ras' AND table_name = 'stored_events' ORDER BY ordinal_position"
    )
    indexes = database.rows(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'ras' AND tablename = 'stored_events'"
    )
    return TableDescription(
        [(name, kind, default) for name, kind, default in columns],
        {definition for (definition,) in indexes},
        database.value("SELECT reloptions FROM pg_class WHERE oid = 'ras.stored_events'::regclass"),
    )
