"""What a DBA sets for a database changes nothing for RAS, or is refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import isawaitable
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from infrastructure.eventstore.event_registry import event_codec
from infrastructure.postgres.connections import (
    connect,
    connect_blocking,
    event_datastore,
    maintenance_engine,
    read_model_engine,
)
from infrastructure.postgres.schema import initialise
from infrastructure.rebuild.rebuild import Rebuilding
from projections.catalogue import PROJECTIONS
from tests.support.commands import ras
from tests.support.ingesting import Ingestion, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import opened_store
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

_SETTINGS: Final = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Kathmandu",
    "search_path": "nowhere",
    "standard_conforming_strings": "off",
    "client_encoding": "LATIN1",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "500ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "500ms",
    "synchronous_commit": "off",
}
"""Settings of a database, each of which has broken something or would."""


@pytest.fixture(scope="module")
def dba_url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """A database with all of these settings at once, on which `ras init` then runs."""
    with fresh_database(postgres_server.url) as url:
        with psycopg.connect(url, autocommit=True) as dba:
            for name, value in _SETTINGS.items():
                dba.execute(
                    sql.SQL("ALTER DATABASE {} SET {} TO {}").format(
                        sql.Identifier(dba.info.dbname),
                        sql.Identifier(name),
                        sql.SQL(value) if "," in value else sql.Literal(value),
                    )
                )
        initialise(url)
        yield url


def _blocking(url: str, query: str) -> Any:
    with connect_blocking(url) as connection:
        return connection.execute(query.encode()).fetchall()[0][0]


async def _awaited(url: str, query: str) -> Any:
    async with await connect(url) as connection:
        return (await (await connection.execute(query.encode())).fetchall())[0][0]


def _store(url: str, query: str) -> Any:
    with event_datastore(url) as datastore, datastore.get_connection() as connection:
        [value] = connection.execute(query.encode()).fetchall()[0].values()
        return value


async def _engine(url: str, query: str) -> Any:
    engine = read_model_engine(url)
    try:
        async with engine.begin() as connection:
            return (await connection.execute(text(query))).scalar_one()
    finally:
        await engine.dispose()


def _maintenance(url: str, query: str) -> Any:
    with maintenance_engine(url).begin() as connection:
        return connection.execute(text(query)).scalar_one()


@pytest.mark.parametrize("name", _SETTINGS)
@pytest.mark.parametrize("way_in", [_blocking, _awaited, _store, _engine, _maintenance])
async def test_each_way_into_the_database_makes_its_own_settings(
    dba_url: str, way_in: Callable[[str, str], Any], name: str
) -> None:
    with psycopg.connect(dba_url, autocommit=True) as plain:
        [(theirs,)] = plain.execute(f"SHOW {name}".encode()).fetchall()

    found = way_in(dba_url, f"SELECT current_setting('{name}')")
    assert (await found if isawaitable(found) else found) != theirs


def test_intake_rebuild_and_the_commands_that_look_work_with_all_of_them(dba_url: str) -> None:
    batch = small_batch("settings", failed=1)
    with opened_store(dba_url) as store:
        Ingestion(store).insist(intakes_of(messages_of(batch)))
    Rebuilding(dba_url, event_codec()).rebuild(PROJECTIONS)

    assert ras("check", "--json", database_url=dba_url).json["consistent"]
    for command in (
        ("status",),
        ("outbox",),
        ("history", batch.batch_id),
        ("dead-letters", "list"),
        ("parked", "list"),
    ):
        ended = ras(*command, database_url=dba_url)
        assert (command, ended.exit_code) == (command, 0), ended.errors


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
@pytest.mark.parametrize("command", ["init", "project", "status"])
def test_an_encoding_that_cannot_hold_every_text_is_refused(
    postgres_server: PostgresServerUnderTest, encoding: str, command: str
) -> None:
    with fresh_database(postgres_server.url) as url, psycopg.connect(url, autocommit=True) as dba:
        name = sql.Identifier(f"{dba.info.dbname}_other")
        dba.execute(
            sql.SQL(
                "CREATE DATABASE {} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
            ).format(name, sql.Literal(encoding))
        )
        try:
            ended = ras(command, database_url=f"{url}_other", RAS_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
        finally:
            dba.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    assert (ended.exit_code, ended.output) == (1, "")
    assert f"has the encoding {encoding}, and RAS needs UTF8" in ended.errors
