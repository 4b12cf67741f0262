"""Checks that the live read models fit this release, and names the command to run where one does not.

One that does not fit stops nobody but itself: its projector waits, the others go on, the API answers from
the rows that are there for as long as it can, and says so in its health.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text

from projections.catalogue import PROJECTIONS
from projections.projection import Projection

# A backup may leave out the tables of read models: without its schema a read model does not exist.
_LIVE: Final = "ras.read_models m JOIN pg_namespace n ON n.nspname = 'ras_' || m.name"
VERSIONS: Final = text(f"SELECT m.name, m.version FROM {_LIVE}")  # noqa: S608 - ours
VERSION: Final = text(f"SELECT m.version FROM {_LIVE} WHERE m.name = :name")  # noqa: S608 - ours


class ReadModelUnavailableError(Exception):
    """A query cannot be answered from the read models that are there; the text says what to run."""


def complaint(projection: Projection, version: int | None) -> str | None:
    """Return what is wrong with a live read model of `version`, None if it fits."""
    if version == projection.version:
        return None
    if version is None:
        return f"The read model {projection.name} does not exist yet: run `ras rebuild {projection.name}`."
    return (
        f"The read model {projection.name} is of version {version}, this release needs {projection.version}: "
        f"run `ras rebuild {projection.name}`."
    )


def complaints(versions: Mapping[str, int]) -> dict[str, str]:
    """Return what is wrong with the read models whose `versions` are these, by name."""
    found = (
        (projection.name, complaint(projection, versions.get(projection.name))) for projection in PROJECTIONS
    )
    return {name: sentence for name, sentence in found if sentence is not None}


def versions(connection: Connection) -> dict[str, int]:
    """Return the version of each live read model."""
    return {row.name: row.version for row in connection.execute(VERSIONS)}
