"""Checks that the tables fit this release. Every process does so at its start, so it must be cheap.

Alembic knows the newest revision too, but importing it costs more than everything else about the question.
The names of the migrations' files say the same (a test holds them against what Alembic finds in them).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infrastructure.errors import OperatorError
from infrastructure.postgres.connections import connect_blocking
from infrastructure.postgres.poolers import check_sessions_last
from infrastructure.postgres.sessions import ROLE_LIMITS

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_DIGITS: Final = 4
"""Of a revision: of the same length, they are in order as texts."""


class SchemaVersionError(OperatorError):
    """The tables do not fit this release; the text says what to run."""


def newest_revision() -> str:
    """Return the revision that this release's migrations lead to: the number in the last `vNNNN_….py`."""
    return max(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9][0-9][0-9][0-9]_*.py"))


def check(database_url: str, *, read_models: Mapping[str, int] | None = None) -> None:
    """Raise SchemaVersionError unless the tables are those of this release.

    `read_models` names the read models without which the caller cannot do anything, and the version it needs
    of each. Roles name none: what is still to be rebuilt stops nobody but its own projector. Raises psycopg's OperationalError when
    the database does not answer.
    """
    check_sessions_last(database_url)
    with connect_blocking(database_url, limits=ROLE_LIMITS) as connection:
        check_encoding(connection)
        if connection.execute("SELECT to_regclass('ras.schema_version')").fetchone() == (None,):
            raise SchemaVersionError("The database has no tables of RAS yet: run `ras init`.")
        row = connection.execute("SELECT version_num FROM ras.schema_version").fetchone()
        check_revision(None if row is None else str(row[0]))
        rows = connection.execute("SELECT name, version FROM ras.read_models").fetchall()
    found = {str(name): int(version) for name, version in rows}
    for name, needed in (read_models or {}).items():
        if name not in found:
            raise SchemaVersionError(f"The read model {name} does not exist yet: run `ras rebuild {name}`.")
        if found[name] != needed:
            raise SchemaVersionError(
                f"The read model {name} is of version {found[name]}, this release needs {needed}: "
                f"run `ras rebuild {name}`."
            )


def check_encoding(connection: psycopg.Connection[TupleRow]) -> None:
    """Raise SchemaVersionError unless the database stores Unicode as it is."""
    found = connection.info.parameter_status("server_encoding")
    if found != "UTF8":
        raise SchemaVersionError(
            f"The database {connection.info.dbname!r} has the encoding {found}, and RAS needs UTF8: names and texts in "
            "other scripts could not be stored. An encoding cannot be changed: make a database by CREATE DATABASE … "
            "ENCODING 'UTF8' TEMPLATE template0, and set RAS_DATABASE_URL to it."
        )


def check_revision(found: str | None) -> None:
    """Raise SchemaVersionError, with what to do, unless the tables are of this release's revision."""
    needed = newest_revision()
    if found == needed:
        return
    if found is not None and not _is_revision(found):
        raise SchemaVersionError(
            f"ras.schema_version holds {found[:40]!r}, which is no version of RAS: somebody else has written it. Restore a "
            "backup, or set RAS_DATABASE_URL to the database of RAS."
        )
    older = found is None or is_older(found)
    todo = (
        "make a backup, then run `ras init --upgrade`"
        if older
        else "this release is older than the tables: install the newer one"
    )
    raise SchemaVersionError(f"The tables are of version {found}, this release needs {needed}: {todo}.")


def is_older(found: str) -> bool:
    """Whether tables of the revision `found` are ours to migrate."""
    return _is_revision(found) and found < newest_revision()


def _is_revision(text: str) -> bool:
    return len(text) == _DIGITS and text.isascii() and text.isdigit()
