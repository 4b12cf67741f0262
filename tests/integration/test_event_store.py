"""The event store on PostgreSQL: the contract, and what only a real server can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Thread

import pytest
from eventsourcing.persistence import OperationalError, StoredEvent

from application.ports import EventStorePort, IntakeCounts
from infrastructure.eventstore.catalogue import event_codec
from infrastructure.eventstore.recorder import EventRecorder
from infrastructure.eventstore.store import TRANSIENT_ERRORS, EventStore
from infrastructure.postgres import datastore
from infrastructure.postgres.datastore import event_datastore
from tests.application.event_store_contract import EventStoreContract, append, loaded, recorded_by
from tests.support.given import registered, spellchecked
from tests.support.postgres_probe import PostgresProbe, opened_store, probe, wait_until


@pytest.fixture
def database(database_url: str) -> Iterator[PostgresProbe]:
    """A look into the database behind the store."""
    with probe(database_url) as looking:
        yield looking


@pytest.fixture
def store(database: PostgresProbe, database_url: str) -> Iterator[EventStore]:
    """An empty store."""
    with opened_store(database_url) as opened:
        yield opened


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
        wait_until(lambda: bool(database.waiting("relation")), "the second writer asks for the lock")
        first.append(recorded_by(registered("e1"), batch_id="first"), [])
    second.join()

    assert database.log() == [(1, "batch-first", 1), (2, "batch-second", 1)]


def test_readers_do_not_wait_for_a_writer(store: EventStore) -> None:
    events = recorded_by(registered("e1"))
    append(store, events)
    with store.transaction() as writer:
        writer.append(recorded_by(registered("e2"), batch_id="b2"), [])

        assert loaded(store, "batch-b1", "batch-b2") == {"batch-b1": events}


def test_a_lock_that_is_held_too_long_is_a_transient_fault(
    database: PostgresProbe, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datastore, "_LOCK_TIMEOUT_S", 1)
    with opened_store(database_url) as impatient:
        with impatient.transaction() as writer:
            writer.lock()
            with pytest.raises(TRANSIENT_ERRORS, match="lock timeout"):
                append(impatient, recorded_by(registered("e1")))
        append(impatient, recorded_by(registered("e1")))

    assert len(database.log()) == 1


def test_a_writer_that_hangs_loses_its_session_and_frees_the_others(
    database: PostgresProbe, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datastore, "_IDLE_IN_TRANSACTION_TIMEOUT_S", 0.2)
    with opened_store(database_url) as hanging:
        with pytest.raises(TRANSIENT_ERRORS), hanging.transaction() as hung:
            hung.append(recorded_by(registered("e1"), batch_id="lost"), [])
            append(hanging, recorded_by(registered("e2"), batch_id="saved"))
            hung.append([], [])

    assert [stream for _, stream, _ in database.log()] == ["batch-saved"]


def test_a_session_that_is_ended_in_mid_transaction_is_a_transient_fault(
    store: EventStore, database: PostgresProbe
) -> None:
    with pytest.raises(TRANSIENT_ERRORS), store.transaction() as transaction:
        transaction.append(recorded_by(registered("e1")), [])
        [session] = database.rows(
            "SELECT pid FROM pg_locks WHERE mode = 'ExclusiveLock' AND locktype = 'relation' AND granted"
        )
        database.terminate(session[0])
        transaction.load(["batch-b1"])
    assert database.log() == []

    append(store, recorded_by(registered("e1"), spellchecked("e1")))
    assert len(database.log()) == 2


def test_no_server_is_a_transient_fault(database: PostgresProbe, database_url: str) -> None:
    gone = database_url.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(OperationalError):
        EventStore(event_datastore(gone), event_codec())


def test_what_inserts_around_the_lock_is_not_even_there(store: EventStore, database: PostgresProbe) -> None:
    store.create_table()

    assert database.rows("SELECT proname FROM pg_proc WHERE proname LIKE '%%insert_events%%'") == []


def test_the_table_is_the_one_that_the_library_makes(database: PostgresProbe, database_url: str) -> None:
    """The migration writes it out; this tells when a new version of the library wants another."""
    columns = (
        "SELECT column_name, data_type, column_default IS NOT NULL FROM information_schema.columns"
        " WHERE table_schema = 'ras' AND table_name = 'stored_events' ORDER BY ordinal_position"
    )
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'ras' AND tablename = 'stored_events'"
    options = "SELECT reloptions FROM pg_class WHERE oid = 'ras.stored_events'::regclass"
    ours = database.rows(columns), set(database.rows(indexes)), database.rows(options)
    database.execute("DROP TABLE ras.stored_events")

    with event_datastore(database_url) as made_by_library:
        EventRecorder(made_by_library).create_table()
    theirs = database.rows(columns), set(database.rows(indexes)), database.rows(options)

    assert ours[0] == theirs[0]
    assert theirs[1] < ours[1]
    assert ours[2] == theirs[2]
