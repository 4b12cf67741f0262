"""What the database knows of rebuilds: `ras.rebuilds`, and the sides named in `ras.read_models`.

Every change says from where it starts, as positions do everywhere: a run that has been overtaken changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, text

from infrastructure.eventstore.positions import OF_READ_MODEL
from infrastructure.rebuild import sides
from infrastructure.rebuild.session import RebuildError
from infrastructure.rebuild.states import State, Step, after
from projections.projection import Projection, schema_of

_UNDER_WAY: Final = text(
    "SELECT id, version, state, position FROM ras.rebuilds"
    " WHERE name = :name AND state IN ('filling', 'catching_up', 'proven')"
)
_BEGIN: Final = text(
    "INSERT INTO ras.rebuilds (name, version, state) VALUES (:name, :version, 'filling') RETURNING id"
)
_MOVE: Final = text(
    "UPDATE ras.rebuilds SET state = :to, detail = :detail, updated_at = clock_timestamp()"
    " WHERE id = :id AND state = :state"
)
_ADVANCE: Final = text(
    "UPDATE ras.rebuilds SET position = :to, updated_at = clock_timestamp()"
    " WHERE id = :id AND state = :state AND position = :expected"
)
_LAST: Final = text(
    "SELECT id, state FROM ras.rebuilds WHERE name = :name AND state IN ('swapped', 'rolled_back')"
    " ORDER BY id DESC LIMIT 1"
)
_LIVE: Final = text(
    "SELECT m.version, m.generation, m.kept_version, m.kept_position, coalesce(p.position, 0) AS position"
    f" FROM ras.read_models m {OF_READ_MODEL}"
    " WHERE m.name = :name"
)
_ADVANCE_KEPT: Final = text(
    "UPDATE ras.read_models SET kept_position = :to WHERE name = :name AND kept_position = :expected"
)


@dataclass(frozen=True, slots=True)
class Live:
    """The live side of a read model, and what is kept of the one before.

    `position` is the notification id up to which its rows are, inclusive.
    """

    version: int
    generation: int
    position: int
    kept_version: int | None
    kept_position: int | None


@dataclass(frozen=True, slots=True)
class Build:
    """A read model being rebuilt: `position` is the last notification id that its rows know of."""

    id: int
    projection: Projection
    state: State
    position: int

    @property
    def schema(self) -> str:
        """Where its rows are."""
        return sides.fresh_schema(self.projection.name)

    def advanced(self, connection: Connection, to: int) -> Build:
        """Move its position, within the transaction that wrote the rows."""
        values = {"id": self.id, "state": self.state, "expected": self.position, "to": to}
        if connection.execute(_ADVANCE, values).rowcount != 1:
            raise RebuildError(f"Somebody else has moved the rebuild of {self.projection.name} on.")
        return replace(self, position=to)

    def moved(self, connection: Connection, step: Step, detail: str = "") -> Build:
        """Take a step, within the transaction that does what the step stands for."""
        to = after(self.state, step)
        values = {"id": self.id, "state": self.state, "to": to, "detail": detail}
        if connection.execute(_MOVE, values).rowcount != 1:
            raise RebuildError(f"Somebody else has moved the rebuild of {self.projection.name} on.")
        return replace(self, state=to)


@dataclass(frozen=True, slots=True)
class Kept:
    """The side that was live before, on its way back: it can catch up as a new one does."""

    projection: Projection
    position: int

    @property
    def schema(self) -> str:
        """Where its rows are."""
        return sides.kept_schema(self.projection.name)

    def advanced(self, connection: Connection, to: int) -> Kept:
        """Move its position, within the transaction that wrote the rows."""
        values = {"name": self.projection.name, "expected": self.position, "to": to}
        if connection.execute(_ADVANCE_KEPT, values).rowcount != 1:
            raise RebuildError(f"Somebody else has moved the kept side of {self.projection.name} on.")
        return replace(self, position=to)


def live(connection: Connection, name: str) -> Live | None:
    """Return what is known of the live side, None if there is none."""
    row = connection.execute(_LIVE, {"name": name}).one_or_none()
    if row is None or not sides.exists(connection, schema_of(name)):
        return None
    return Live(row.version, row.generation, row.position, row.kept_version, row.kept_position)


def begin_or_resume(connection: Connection, projection: Projection) -> tuple[Build, bool]:
    """Return a rebuild to go on with, and whether it was begun by an earlier run.

    An earlier one that does not fit is abandoned: it was for another version, its tables are gone or are
    others by now, or it is ahead of a live side that it is to be compared with.
    """
    with connection.begin():
        row = connection.execute(_UNDER_WAY, {"name": projection.name}).one_or_none()
        if row is not None:
            build = Build(row.id, projection, State(row.state), row.position)
            misfit = _misfit(connection, build, version=row.version)
            if misfit is None:
                return build.moved(connection, Step.RESUME), True
            build.moved(connection, Step.ABANDON, misfit)
        sides.create_fresh(connection, projection)
        values = {"name": projection.name, "version": projection.version}
        number = connection.execute(_BEGIN, values).scalar_one()
        return Build(number, projection, State.FILLING, 0), False


def turned(connection: Connection, name: str) -> None:
    """Note in the last rebuild that its switch was undone, or made again."""
    row = connection.execute(_LAST, {"name": name}).one_or_none()
    if row is not None:
        to = after(State(row.state), Step.ROLL_BACK)
        connection.execute(_MOVE, {"id": row.id, "state": row.state, "to": to, "detail": ""})


def _misfit(connection: Connection, build: Build, *, version: int) -> str | None:
    projection = build.projection
    if version != projection.version:
        return f"It was for version {version}; this release has version {projection.version}."
    found = sides.columns(connection, build.schema)
    wanted = {t.name: [c.name for c in t.columns] for t in projection.metadata.sorted_tables}
    if {table: [name for name, _ in listed] for table, listed in found.items()} != wanted:
        return "Its tables are not those of this release."
    standing = live(connection, projection.name)
    if standing is not None and standing.version == version and standing.position < build.position:
        return f"It was at {build.position}, beyond the live side, with which it is to be compared."
    return None
