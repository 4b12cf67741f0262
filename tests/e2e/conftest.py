"""What end-to-end tests run on: RAS's topics, empty; a database with its tables; processes that end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.local.processes import free_port
from tests.support.postgres_probe import PostgresProbe, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.role_process import Installation
from tests.support.topics import Topics


@pytest.fixture
def ras_topics(kafka_bootstrap: str) -> Topics:
    """All topics of RAS on the real broker, deleted and recreated."""
    topics = Topics(kafka_bootstrap)
    topics.renew()
    return topics


@pytest.fixture
def database_url(request: pytest.FixtureRequest, postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """The libpq URL of a database of this test's own: empty, but for the tables of RAS where the test needs `store`."""
    like = request.getfixturevalue("initialised_url") if "store" in request.fixturenames else None
    with fresh_database(postgres_server.url, like=like) as url:
        yield url


@pytest.fixture
def store(database_url: str) -> Iterator[PostgresProbe]:
    """A look into this test's database, in which the tables of RAS are."""
    with probe(database_url) as looking:
        yield looking


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[Installation]:
    """RAS without servers, for what a command says before it asks any."""
    database_url = f"postgresql://postgres:secret@127.0.0.1:{free_port()}/ras"
    with Installation(database_url, f"127.0.0.1:{free_port()}", tmp_path) as installation:
        yield installation


@pytest.fixture
def ras(
    database_url: str, store: PostgresProbe, ras_topics: Topics, tmp_path: Path
) -> Iterator[Installation]:
    """RAS on this test's database and on the real broker; no role runs yet."""
    with Installation(database_url, ras_topics.bootstrap_servers, tmp_path) as installation:
        yield installation
