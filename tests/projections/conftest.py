"""Read models on PostgreSQL, empty for each test; one database a module, because making one costs most."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import connected
from tests.support.read_models import emptied


@pytest.fixture(scope="module")
def read_models_url(postgres_server: PostgresServerUnderTest, initialised_url: str) -> Iterator[str]:
    """The libpq URL of an initialised database."""
    with fresh_database(postgres_server.url, like=initialised_url) as url:
        yield url


@pytest.fixture
def connection(read_models_url: str) -> Iterator[Connection]:
    """A transaction on empty read models, rolled back in the end."""
    with connected(read_models_url) as open_connection:
        emptied(open_connection)
        yield open_connection
        open_connection.rollback()
