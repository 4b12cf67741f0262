"""Tables: created and upgraded by `ras init`, checked by every process when it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.schema import CreateSchema

from infrastructure.postgres.datastore import SERVICE_SCHEMA, maintenance_engine
from projections.catalogue import PROJECTIONS
from projections.projection import Projection, schema_of

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK_KEY: Final = 0x52415301
"""Advisory lock: two `ras init` at once take turns."""


class SchemaVersionError(Exception):
    """The tables do not fit this release; the text says what to run."""


def initialise(database_url: str) -> None:
    """Create what is missing and upgrade what is old; running it again changes nothing.

    Read models whose version changed are left as they are: `ras rebuild` replaces those.
    """
    with maintenance_engine(database_url).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        connection.execute(CreateSchema(SERVICE_SCHEMA, if_not_exists=True))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        for projection in PROJECTIONS:
            _create_read_model(connection, projection)


def check(database_url: str) -> None:
    """Raise SchemaVersionError unless the tables are those of this release."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    with maintenance_engine(database_url).connect() as connection:
        if not inspect(connection).has_table("schema_version", schema=SERVICE_SCHEMA):
            raise SchemaVersionError("The database has no tables of RAS yet: run `ras init`.")
        found = connection.execute(text("SELECT version_num FROM ras.schema_version")).scalar_one_or_none()
        if found != head:
            older = found is None or (found or "") < (head or "")
            todo = (
                "run `ras init`" if older else "this release is older than the tables: install the newer one"
            )
            raise SchemaVersionError(f"The tables are of version {found}, this release needs {head}: {todo}.")
        found_models = connection.execute(text("SELECT name, version FROM ras.read_models"))
        versions: dict[str, int] = {row.name: row.version for row in found_models}
    for projection in PROJECTIONS:
        version = versions.get(projection.name)
        if version is None:
            raise SchemaVersionError(f"The read model {projection.name} does not exist yet: run `ras init`.")
        if version != projection.version:
            raise SchemaVersionError(
                f"The read model {projection.name} is of version {version}, this release needs "
                f"{projection.version}: run `ras rebuild {projection.name}`."
            )


def _create_read_model(connection: Connection, projection: Projection) -> None:
    connection.execute(CreateSchema(schema_of(projection.name), if_not_exists=True))
    projection.metadata.create_all(connection)
    connection.execute(
        text("INSERT INTO ras.read_models (name, version) VALUES (:name, :version) ON CONFLICT DO NOTHING"),
        {"name": projection.name, "version": projection.version},
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config
