"""Tables: created and upgraded by `ras init`, checked (`schema_version.py`) by every process when it starts.

Read models are not checked here: one that does not fit this release must not stop what does not need it.
"""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import Connection, text
from sqlalchemy.schema import CreateSchema

from infrastructure.postgres import grants, schema_version
from infrastructure.postgres.connections import SERVICE_SCHEMA, maintenance_engine
from infrastructure.postgres.poolers import check_sessions_last
from infrastructure.postgres.read_models import complaints, versions
from infrastructure.postgres.schema_version import MIGRATIONS
from projections.catalogue import PROJECTIONS
from projections.projection import Projection, schema_of

_LOCK_KEY: Final = 0x52415301
"""Advisory lock: two `ras init` at once take turns."""


def initialise(database_url: str, *, upgrade: bool = True) -> dict[str, str]:
    """Create what is missing and, with `upgrade`, migrate what is old; running it again changes nothing.

    Returns what remains to be done for a read model, by its name: one that is missing is created empty only
    while there are no events that it would lack (a new one of an upgrade has none), and one of another version is
    left as it is. `ras rebuild` sees to both. Raises SchemaVersionError for tables of a newer release, and without `upgrade` for those of
    an older one.
    """
    check_sessions_last(database_url)
    with maintenance_engine(database_url).begin() as connection:
        schema_version.check_encoding(_driver_connection(connection))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        connection.execute(CreateSchema(SERVICE_SCHEMA, if_not_exists=True))
        revision = _revision(connection)
        if revision is not None and not (upgrade and schema_version.is_older(revision)):
            schema_version.check_revision(revision)
        _migrate(connection)
        found = versions(connection)
        for projection in PROJECTIONS:
            if projection.name not in found and not _has_events(connection, projection):
                _create_read_model(connection, projection)
        if grants.are_granted(connection):
            grants.regrant(connection)
        return complaints(versions(connection))


def _driver_connection(connection: Connection) -> psycopg.Connection[TupleRow]:
    found = connection.connection.driver_connection
    assert isinstance(found, psycopg.Connection)
    return found


def _revision(connection: Connection) -> str | None:
    """Return the revision of the tables, None where there are none yet."""
    if connection.execute(text("SELECT to_regclass('ras.schema_version')")).scalar_one() is None:
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM ras.schema_version")).scalar()
    return found


def _migrate(connection: Connection) -> None:
    # Imported here because only `ras init` migrates, and every role would pay for it at its start.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _has_events(connection: Connection, projection: Projection) -> bool:
    """Tell whether the log holds an event that the read model needs; a log without one is read to its end."""
    every_version = [f"{topic.rpartition('.v')[0]}.v%" for topic in projection.topics]
    found = connection.execute(
        text("SELECT EXISTS (SELECT FROM ras.stored_events WHERE topic LIKE ANY(:topics))"),
        {"topics": every_version},
    )
    return bool(found.scalar_one())


def _create_read_model(connection: Connection, projection: Projection) -> None:
    connection.execute(CreateSchema(schema_of(projection.name), if_not_exists=True))
    projection.metadata.create_all(connection)
    connection.execute(
        text(
            "INSERT INTO ras.read_models (name, version) VALUES (:name, :version)"
            " ON CONFLICT (name) DO UPDATE SET version = excluded.version"
        ),
        {"name": projection.name, "version": projection.version},
    )
