"""Fixtures for the servers that tests run on, and what a run says about what it left out.

Environment: RAS_TEST_DATABASE_URL, RAS_TEST_KAFKA_BOOTSTRAP (servers to use instead of our own),
RAS_TEST_CACHE (what is kept between runs), RAS_TEST_REQUIRE (what must not be left out), CI.

`pytest` runs in one process. `pytest -n auto --dist loadfile` runs several, each with its own servers, because
the names of RAS's topics are fixed; `make test` does so.
"""

import gc
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import configuration, settings

from infrastructure.local.embedded_postgres import EmbeddedPostgres
from tests.support import requirements
from tests.support.kafka_choice import Broker, NoBrokerError, real_broker
from tests.support.kafka_jars import cache_folder
from tests.support.kafka_server import KafkaServer
from tests.support.memory_folder import SMALL_LOG, memory_folder
from tests.support.order import longest_first
from tests.support.postgres_server import GivenPostgres, PostgresServerUnderTest, fresh_database

pytest.register_assert_rewrite("tests.support.accounts")  # before the first of its users is imported

# As the roles and commands set it; numpy reads it when it is imported. More threads take more CPU and gain no time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

gc.disable()  # until all is imported and collected, see pytest_collection_finish

_ON_SERVERS = frozenset({"browser", "e2e", "integration"})
_KAFKA_FIXTURES = frozenset({"kafka_server", "kafka_bootstrap", "restartable_kafka"})

configuration.set_hypothesis_home_dir(cache_folder() / "hypothesis")
settings.register_profile("local", deadline=None, database=None)
# A run that gates a change must not fail at random on what it does not touch; `local` runs keep searching.
settings.register_profile("ci", deadline=None, database=None, derandomize=True, print_blob=True)
settings.register_profile("fast", deadline=None, database=None, derandomize=True, max_examples=10)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse, before any test runs, what cannot work: an unknown requirement, several workers on one broker."""
    requirements.required()
    if _broker_is_given() and len(config.getoption("tx", None) or ()) > 1:
        raise pytest.UsageError(
            "RAS_TEST_KAFKA_BOOTSTRAP names one broker, and one test at a time can use the topics of RAS on it: "
            "run `pytest -n0` or `-n auto`, or unset it"
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Tests wait more than they compute: two workers for each core, at most four. One on a given broker."""
    if _broker_is_given():
        return 1
    chosen = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS")
    return int(chosen) if chosen else min(4, 2 * (os.cpu_count() or 1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a real broker, so that `-m 'not kafka'` selects it; begin with the files that take longest.

    CI repeats a failed test once if it waits for servers: docs/decisions/0100-ci-repeats-failed-server-tests.md.
    """
    for item in items:
        if os.environ.get("CI") and item.path.parent.name in _ON_SERVERS:
            item.add_marker(pytest.mark.flaky(reruns=1))
        if _KAFKA_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.kafka)
    items.sort(key=lambda item: longest_first(item.path))


def pytest_collection_finish() -> None:
    """Leave out of each later walk of the garbage collector what imports and the collection have left, for it stays."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """End without a walk over all that has gathered."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report what did not run, as the skipped tests tell it: with several workers there is no other way."""
    reasons = (
        report.longrepr[2]
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    for name, install, count in requirements.left_out(reasons):
        terminalreporter.write_line(f"left out: {count} tests that need {name}: {install}", yellow=True)


def _broker_is_given() -> bool:
    return bool(os.environ.get("RAS_TEST_KAFKA_BOOTSTRAP"))


@pytest.fixture(scope="module", autouse=True)
def _logs_of_their_own() -> Iterator[None]:
    """Undo what commands that ran in this process set up: their logs go to a stream that is closed by now."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Return the event loop of async tests: the one that RAS's libraries are made for."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServerUnderTest]:
    """One PostgreSQL for all tests of this process; use `database_url` for a database to write in."""
    if given := os.environ.get("RAS_TEST_DATABASE_URL"):
        yield GivenPostgres(given)
        return
    with memory_folder() as folder, EmbeddedPostgres(folder, settings=SMALL_LOG) as server:
        yield GivenPostgres(server.superuser_url)


@pytest.fixture(scope="session")
def initialised_url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """The libpq URL of a database with the tables of RAS. To copy it takes a third of the CPU time of creating them."""
    from infrastructure.postgres.schema import initialise  # heavy: most of the fast tests do without

    with fresh_database(postgres_server.url) as url:
        initialise(url)
        yield url


@pytest.fixture
def database_url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """The libpq URL of an empty database of this test's own."""
    with fresh_database(postgres_server.url) as url:
        yield url


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[Broker]:
    """One real broker for all tests of this process, started when the first test asks for it. Name topics uniquely."""
    with memory_folder() as folder:
        try:
            broker = real_broker(folder)
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
