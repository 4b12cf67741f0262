"""Making the tables, again and by two at once, and telling an operator what is wrong with them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from eventsourcing.persistence import StoredEvent
from sqlalchemy.schema import CreateSchema

from domain.batch_events import BatchRegistered
from domain.dead_letters import MessageDeadLettered
from infrastructure.postgres import schema_version
from infrastructure.postgres.connections import maintenance_engine
from infrastructure.postgres.schema import initialise
from infrastructure.postgres.schema_version import MIGRATIONS, SchemaVersionError, newest_revision
from projections.catalogue import PROJECTIONS
from projections.projection import schema_of
from tests.support.postgres_probe import PostgresProbe, probe
from tests.support.projecting import connected

_TABLES = (
    "SELECT table_schema || '.' || table_name FROM information_schema.tables"
    " WHERE table_schema = 'ras' OR table_schema LIKE 'ras\\_%%' ORDER BY 1"
)


def check(database_url: str) -> None:
    """Check as a command that needs every read model."""
    schema_version.check(database_url, read_models={p.name: p.version for p in PROJECTIONS})


def tables(database: PostgresProbe) -> list[str]:
    """Return every table of ours."""
    return [name for (name,) in database.rows(_TABLES)]


def test_initialise_makes_every_table_and_check_is_content(database_url: str) -> None:
    initialise(database_url)

    check(database_url)
    with probe(database_url) as database:
        assert set(tables(database)) == {
            "ras.check_state",
            "ras.intake_counts",
            "ras.log_beginnings",
            "ras.positions",
            "ras.read_models",
            "ras.rebuilds",
            "ras.role_status",
            "ras.schema_version",
            "ras.stored_events",
            "ras.used_tickets",
            *(str(table) for projection in PROJECTIONS for table in projection.metadata.tables.values()),
        }
        assert dict(database.rows("SELECT name, version FROM ras.read_models")) == {
            projection.name: projection.version for projection in PROJECTIONS
        }


def test_the_read_models_are_what_the_projections_say(database_url: str) -> None:
    initialise(database_url)

    with connected(database_url) as connection:
        for projection in PROJECTIONS:
            schema = schema_of(projection.name)
            context = MigrationContext.configure(
                connection,
                opts={
                    "include_schemas": True,
                    "include_name": lambda name, kind, _, schema=schema: kind != "schema" or name == schema,
                },
            )
            assert compare_metadata(context, projection.metadata) == []


def test_initialise_again_changes_nothing(database_url: str) -> None:
    initialise(database_url)
    with probe(database_url) as database:
        database.execute("INSERT INTO ras.positions (name, position) VALUES ('projection/x', 7)")
        before = tables(database)
        initialise(database_url)

        assert tables(database) == before
        assert database.positions() == {"projection/x": 7}
    check(database_url)


def test_an_old_store_is_migrated_and_what_it_cannot_know_is_left_open(database_url: str) -> None:
    with maintenance_engine(database_url).begin() as connection:
        connection.execute(CreateSchema("ras"))
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        command.upgrade(config, "0002")
    with probe(database_url) as database:
        database.execute("INSERT INTO ras.positions (name, position) VALUES ('intake/topic/0', 7)")
        database.put(StoredEvent("dead-letter-topic-0-3", 1, MessageDeadLettered.topic, b"{}"))
        initialise(database_url)

        # Letters of then were never sent: nobody is to look for them. Positions of then have no mark.
        assert database.positions() == {
            "intake/topic/0": 7,
            "not-sent/ras.dead-letters.v1": 1,
            "rules/outcome": 1,
        }
        assert database.rows("SELECT DISTINCT mark FROM ras.positions") == [(None,)]
    schema_version.check(database_url)


def test_two_who_initialise_at_once_take_turns(database_url: str) -> None:
    together = Barrier(2)

    def start(_process: int) -> None:
        together.wait()
        initialise(database_url)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(start, range(2)))

    check(database_url)


def test_the_newest_revision_is_the_one_that_the_migrations_lead_to() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")

    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision()]


def test_who_works_without_read_models_runs_while_one_is_to_be_rebuilt(database_url: str) -> None:
    initialise(database_url)
    with probe(database_url) as database:
        database.execute("UPDATE ras.read_models SET version = 0 WHERE name = 'teacher_inbox'")

    schema_version.check(database_url, read_models={})
    with pytest.raises(SchemaVersionError, match="ras rebuild teacher_inbox"):
        check(database_url)


def test_an_empty_database_is_to_be_initialised(database_url: str) -> None:
    with pytest.raises(SchemaVersionError, match="has no tables of RAS yet: run `ras init`"):
        check(database_url)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("UPDATE ras.schema_version SET version_num = '0000'", "of version 0000.*run `ras init --upgrade`"),
        ("UPDATE ras.schema_version SET version_num = 'abc'", "holds 'abc', which is no version of RAS"),
        ("UPDATE ras.schema_version SET version_num = '0abc'", "holds '0abc', which is no version of RAS"),
        ("UPDATE ras.schema_version SET version_num = '1'", "holds '1', which is no version of RAS"),
        ("UPDATE ras.schema_version SET version_num = ''", "holds '', which is no version of RAS"),
        ("DELETE FROM ras.schema_version", "of version None.*run `ras init --upgrade`"),
        (
            "UPDATE ras.schema_version SET version_num = '9999'",
            "this release is older than the tables: install the newer one",
        ),
        (
            "UPDATE ras.read_models SET version = 99 WHERE name = 'teacher_inbox'",
            "teacher_inbox is of version 99, this release needs 1: run `ras rebuild teacher_inbox`",
        ),
        (
            "DELETE FROM ras.read_models WHERE name = 'batch_results'",
            "batch_results does not exist yet: run `ras rebuild batch_results`",
        ),
    ],
    ids=[
        "older",
        "letters",
        "digit and letters",
        "too short",
        "empty",
        "no version",
        "newer",
        "read model of another version",
        "read model missing",
    ],
)
def test_check_says_what_is_wrong_and_what_to_do(database_url: str, change: str, sentence: str) -> None:
    initialise(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute(change.encode())

    with pytest.raises(SchemaVersionError, match=sentence):
        check(database_url)


@pytest.mark.parametrize(
    "topic", [MessageDeadLettered.topic, MessageDeadLettered.topic.replace(".v1", ".v99")]
)
def test_a_read_model_that_would_lack_events_is_left_to_a_rebuild(database_url: str, topic: str) -> None:
    initialise(database_url)
    with probe(database_url) as database:
        database.execute("DROP SCHEMA ras_dead_letters CASCADE")
        database.execute("DELETE FROM ras.read_models WHERE name = 'dead_letters'")
        database.put(StoredEvent("letter-1", 1, topic, b"{}"))

        assert initialise(database_url) == {
            "dead_letters": "The read model dead_letters does not exist yet: run `ras rebuild dead_letters`."
        }

        assert "ras_dead_letters.letters" not in tables(database)


def test_a_read_model_that_is_new_in_this_release_is_created_beside_the_events_of_others(
    database_url: str,
) -> None:
    initialise(database_url)
    with probe(database_url) as database:
        database.put(StoredEvent("batch-1", 1, BatchRegistered.topic, b"{}"))
        database.execute("DROP SCHEMA ras_language_analyses CASCADE")
        database.execute("DELETE FROM ras.read_models WHERE name = 'language_analyses'")

        assert initialise(database_url) == {}

        assert "ras_language_analyses.analyses" in tables(database)


def test_initialise_brings_back_a_missing_read_model_and_leaves_another_version_alone(
    database_url: str,
) -> None:
    initialise(database_url)
    with probe(database_url) as database:
        database.execute("DROP SCHEMA ras_dead_letters CASCADE")
        database.execute("DELETE FROM ras.read_models WHERE name = 'dead_letters'")
        database.execute("UPDATE ras.read_models SET version = 0 WHERE name = 'teacher_inbox'")
        initialise(database_url)

        assert "ras_dead_letters.letters" in tables(database)
        assert database.value("SELECT version FROM ras.read_models WHERE name = 'teacher_inbox'") == 0
