"""Fixtures for the servers that tests run on, and what a run says about what it left out.

Environment: RAS_TEST_DATABASE_URL, RAS_TEST_KAFKA_BOOTSTRAP (servers to use instead of our own),
RAS_TEST_CACHE (what is kept between runs), RAS_TEST_REQUIRE (what must not be left out), CI.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import configuration, settings

from infrastructure.local.embedded_postgres import EmbeddedPostgres
from tests.support import requirements
from tests.support.kafka_choice import Broker, NoBrokerError, real_broker
from tests.support.kafka_jars import cache_folder
from tests.support.kafka_server import KafkaServer
from tests.support.postgres_server import GivenPostgres, PostgresServerUnderTest, fresh_database

pytest.register_assert_rewrite("tests.support.accounts")  # before the first of its users is imported

_KAFKA_FIXTURES = frozenset({"kafka_server", "kafka_bootstrap", "restartable_kafka"})

configuration.set_hypothesis_home_dir(cache_folder() / "hypothesis")
settings.register_profile("local", deadline=None, database=None)
# A run that gates a change must not fail at random on what it does not touch; `local` runs keep searching.
settings.register_profile("ci", deadline=None, database=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure() -> None:
    """Refuse a RAS_TEST_REQUIRE that names nothing known before any test runs."""
    requirements.required()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a real broker, so that `-m 'not kafka'` selects without anybody writing marks."""
    for item in items:
        if _KAFKA_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in plain words what did not run."""
    for name, install in sorted(requirements.left_out.items()):
        skipped = sum(
            report.longrepr[2].removeprefix("Skipped: ").startswith(f"no {name}:")
            for report in terminalreporter.getreports("skipped")
            if isinstance(report.longrepr, tuple)
        )
        terminalreporter.write_line(f"left out: {skipped} tests that need {name}: {install}", yellow=True)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServerUnderTest]:
    """One PostgreSQL for all tests; use `database_url` for a database to write in."""
    if given := os.environ.get("RAS_TEST_DATABASE_URL"):
        yield GivenPostgres(given)
        return
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database_url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """The libpq URL of an empty database of this test's own."""
    with fresh_database(postgres_server.url) as url:
        yield url


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One real broker for all tests, started when the first test asks for it. Name topics uniquely."""
    try:
        broker = real_broker(tmp_path_factory.mktemp("kafka"))
    except NoBrokerError as error:
        requirements.missing("kafka", install=str(error))
    with broker as running:
        yield running


@pytest.fixture
def kafka_bootstrap(kafka_server: Broker) -> str:
    """`host:port` of the real broker."""
    return kafka_server.bootstrap_servers


@pytest.fixture
def restartable_kafka(kafka_server: Broker) -> Iterator[KafkaServer]:
    """The same broker for a test that stops or kills it; it runs again afterwards, whatever the test did."""
    if not isinstance(kafka_server, KafkaServer):
        pytest.skip("the broker is not ours to stop: unset RAS_TEST_KAFKA_BOOTSTRAP, install Java and Maven")
    yield kafka_server
    kafka_server.start()
