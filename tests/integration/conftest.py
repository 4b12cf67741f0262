"""A store on PostgreSQL, empty for each test; one database a module, because making one costs most."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infrastructure.eventstore.store import EventStore
from tests.support.postgres_probe import PostgresProbe, opened_store, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database


@pytest.fixture(scope="module")
def store_url(postgres_server: PostgresServerUnderTest, initialised_url: str) -> Iterator[str]:
    """The libpq URL of an initialised database, for tests that leave its tables as they are."""
    with fresh_database(postgres_server.url, like=initialised_url) as url:
        yield url


@pytest.fixture(scope="module")
def module_store(store_url: str) -> Iterator[EventStore]:
    """The store in that database; use `store`, which is empty."""
    with opened_store(store_url) as opened:
        yield opened


@pytest.fixture
def database(store_url: str) -> Iterator[PostgresProbe]:
    """A look into the database behind the store, emptied before."""
    with probe(store_url) as looking:
        looking.empty()
        yield looking


@pytest.fixture
def store(module_store: EventStore, database: PostgresProbe) -> EventStore:
    """An empty store."""
    del database  # it has emptied the store
    return module_store
