"""A store that an older release has filled: its tables are migrated, and its events are read as today's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from alembic import command
from alembic.config import Config
from eventsourcing.persistence import StoredEvent

from domain.batch_events import MessageParked
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.log import NotificationLog
from infrastructure.postgres import schema, schema_version
from infrastructure.postgres.connections import maintenance_engine
from infrastructure.postgres.schema_version import MIGRATIONS, SchemaVersionError
from projections.catalogue import PROJECTIONS
from tests.golden.expected_events import EXPECTED
from tests.support.postgres_probe import PostgresProbe, opened_store, probe

V1: Final = "ras.batch.message-parked.v1"
V2: Final = MessageParked.topic


def golden(topic: str) -> StoredEvent:
    """Return an event as the release that wrote this topic stored it."""
    path = Path(__file__).parents[1] / "golden" / "stored" / f"{topic}.json"
    text = json.loads(path.read_text(encoding="utf-8"))
    return StoredEvent(**text | {"state": text["state"].encode()})


def as_first_released(database_url: str) -> None:
    """Make the tables of the first version alone."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with maintenance_engine(database_url).begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA ras")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")


def put(database: PostgresProbe, *topics: str) -> None:
    """Store the golden events of `topics`, one after the other in one stream."""
    for version, topic in enumerate(topics, start=1):
        database.put(replace(golden(topic), originator_version=version))


def test_old_tables_are_refused_until_their_upgrade_is_asked_for(database_url: str) -> None:
    as_first_released(database_url)
    with probe(database_url) as database:
        put(database, V1)
        before = database.stored()

        sentence = r"0001.*make a backup, then run `ras init --upgrade`"
        with pytest.raises(SchemaVersionError, match=sentence):
            schema_version.check(database_url)
        with pytest.raises(SchemaVersionError, match=sentence):
            schema.initialise(database_url, upgrade=False)
        assert database.value("SELECT version_num FROM ras.schema_version") == "0001"

        to_rebuild = schema.initialise(database_url)

        schema_version.check(database_url, read_models={})
        concerned = {p.name for p in PROJECTIONS if V2 in p.topics}
        assert set(to_rebuild) == concerned != set(), "an old log is not shown by empty tables"
        assert schema.initialise(database_url, upgrade=False) == to_rebuild
        assert database.stored() == before


def test_tables_of_a_newer_release_are_left_alone(database_url: str) -> None:
    schema.initialise(database_url)
    with probe(database_url) as database:
        database.execute("UPDATE ras.schema_version SET version_num = '9999'")

    with pytest.raises(SchemaVersionError, match="this release is older than the tables"):
        schema.initialise(database_url)


async def test_followers_and_aggregates_read_both_versions_of_an_event(database_url: str) -> None:
    schema.initialise(database_url)
    with probe(database_url) as database:
        put(database, V1, V2)
    wanted = [
        replace(EXPECTED[topic], originator_version=version)
        for version, topic in enumerate((V1, V2), start=1)
    ]

    async def followed() -> list[object]:
        log = NotificationLog(database_url, event_codec(), [V2])
        try:
            return [recorded.event for recorded in (await log.read(0, 10)).events]
        finally:
            await log.close()

    assert await followed() == wanted
    stream = str(golden(V1).originator_id)
    with opened_store(database_url) as store, store.transaction() as transaction:
        assert transaction.load({stream: 0}, most=10)[stream] == wanted


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("KeyError: 'essay-03'", "KeyError"),
        ("An earlier message of this batch is parked.", None),
        ("the 3rd: of its kind", None),
        ("", None),
    ],
)
def test_the_fault_of_a_parked_message_is_found_in_its_old_text(reason: str, fault: str | None) -> None:
    state = json.loads(golden(V1).state) | {"reason": reason}

    event = event_codec().to_domain_event(replace(golden(V1), state=json.dumps(state).encode()))

    assert (event.fault, event.reason) == (fault, reason)
