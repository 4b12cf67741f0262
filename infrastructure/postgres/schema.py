"""Tables: created and upgraded by `ras init`, checked by every process when it starts."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.schema import CreateSchema

from infrastructure.postgres import schema_version
from infrastructure.postgres.datastore import SERVICE_SCHEMA, maintenance_engine
from infrastructure.postgres.schema_version import MIGRATIONS
from projections.catalogue import PROJECTIONS
from projections.projection import Projection, schema_of

_LOCK_KEY: Final = 0x52415301
"""Advisory lock: two `ras init` at once take turns."""


def initialise(database_url: str) -> None:
    """Create what is missing and upgrade what is old; running it again changes nothing.

    Read models whose version changed are left as they are: `ras rebuild` replaces those.
    """
    with maintenance_engine(database_url).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        connection.execute(CreateSchema(SERVICE_SCHEMA, if_not_exists=True))
        _migrate(connection)
        for projection in PROJECTIONS:
            _create_read_model(connection, projection)


def check(database_url: str) -> None:
    """Raise SchemaVersionError unless the tables and all read models are those of this release."""
    schema_version.check(database_url, read_models={p.name: p.version for p in PROJECTIONS})


def _migrate(connection: Connection) -> None:
    # Imported here because only `ras init` migrates, and every role would pay for it at its start.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _create_read_model(connection: Connection, projection: Projection) -> None:
    connection.execute(CreateSchema(schema_of(projection.name), if_not_exists=True))
    projection.metadata.create_all(connection)
    connection.execute(
        text("INSERT INTO ras.read_models (name, version) VALUES (:name, :version) ON CONFLICT DO NOTHING"),
        {"name": projection.name, "version": projection.version},
    )
