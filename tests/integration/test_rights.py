"""A database user who may only read: what looks works, what writes says in a sentence what is missing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from application import topics
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.kafka.topics import partitions_by_topic
from infrastructure.local.embedded_kafka import EmbeddedKafka
from infrastructure.postgres.schema import initialise
from infrastructure.rebuild.rebuild import Rebuilding
from projections.catalogue import PROJECTIONS
from tests.support.commands import ras
from tests.support.ingesting import Ingestion, dead_letter
from tests.support.postgres_probe import opened_store
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

_LETTER = dead_letter(topics.SPELLCHECK_RESULTS)


@pytest.fixture(scope="module")
def owner(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """The URL, for its owner, of a database with a letter."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        with opened_store(url) as store:
            Ingestion(store).insist([_LETTER])
        Rebuilding(url, event_codec()).rebuild(PROJECTIONS)
        yield url


@pytest.fixture(scope="module")
def reader(owner: str) -> Iterator[str]:
    """The same database, for a user who may read everything and write nothing."""
    name = sql.Identifier(f"reader_{uuid.uuid4().hex}")
    schemas = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'ras')"
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'only-looking'").format(name))
        for (schema,) in connection.execute(schemas).fetchall():
            for grant in ("GRANT USAGE ON SCHEMA {} TO {}", "GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}"):
                connection.execute(sql.SQL(grant).format(sql.Identifier(schema), name))
        address = urlsplit(owner)
        host = address.netloc.rpartition("@")[2]
        yield address._replace(netloc=f"{name.as_string(None).strip(chr(34))}:only-looking@{host}").geturl()
        connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
        connection.execute(sql.SQL("DROP ROLE {}").format(name))


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    """The address of a broker with our topics."""
    broker = EmbeddedKafka(partitions_by_topic())
    broker.start()
    yield broker.bootstrap_servers
    broker.stop()


@pytest.mark.parametrize(
    "command",
    [
        ("init",),
        ("rebuild", "dead_letters"),
        ("dead-letters", "retry", "1", "--yes"),
        ("dead-letters", "discard", "1", "--yes", "--why", "sent by a test"),
        ("publish",),
    ],
    ids=" ".join,
)
def test_what_writes_names_the_right_that_is_missing(
    reader: str, kafka: str, command: tuple[str, ...]
) -> None:
    ended = ras(*command, database_url=reader, RAS_KAFKA_BOOTSTRAP_SERVERS=kafka, RAS_LOG_LEVEL="error")

    assert (ended.exit_code, ended.output, ended.errors.count("\n")) == (1, "", 1), ended.errors
    assert ended.errors.startswith("ras: The database user lacks a privilege")
    assert "only-looking" not in ended.errors


@pytest.mark.parametrize(
    "command",
    [("dead-letters", "list"), ("parked", "list"), ("outbox",), ("status",), ("history", "nothing")],
)
def test_what_looks_works(reader: str, command: tuple[str, ...]) -> None:
    ended = ras(*command, database_url=reader)

    assert "privilege" not in ended.errors
    assert "Traceback" not in ended.errors


def test_a_check_reports_although_it_cannot_keep_its_place(reader: str) -> None:
    report = ras("check", "--json", database_url=reader).json

    assert report["consistent"]
    assert any("may not write ras.check_state" in note for note in report["notes"])


def test_a_database_that_takes_no_writes_says_so(owner: str) -> None:
    standby = f"{owner}?options=-c%20default_transaction_read_only%3Don"

    ended = ras("dead-letters", "retry", "1", "--yes", database_url=standby)

    assert (ended.exit_code, ended.errors.count("\n")) == (1, 1), ended.errors
    assert ended.errors.startswith("ras: The database takes no writes: ")
