"""What a projection is: a name, a version, the events it wants, its tables, and what events do to them.

A projection turns a whole batch of events into few set-based statements. It neither runs them nor knows
a position: the follower runs them and moves the position in the same transaction, so the statements may
assume that each event comes exactly once and in order, within a batch and across batches. A database
trip costs the same for one row and for a thousand, hence columns travel as arrays (`unnest`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ARRAY,
    Column,
    Executable,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert
from sqlalchemy.sql.elements import ColumnElement

from domain.aggregate import DomainEvent

_MERGES: Final = {"processing_started_at": func.least, "last_updated": func.greatest}


class Recorded(NamedTuple):
    """A domain event and its place in the log."""

    notification_id: int
    event: Any


Row = Mapping[str, Any]


class Statement(NamedTuple):
    """A statement and its parameters, ready to be executed."""

    executable: Executable
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Projection:
    """A read model.

    `name` names its position and, with the prefix `ras_`, its schema. Raise `version` when the same
    events are to give other rows. `statements` is pure.
    """

    name: str
    version: int
    events: tuple[type[DomainEvent], ...]
    metadata: MetaData
    statements: Callable[[Sequence[Recorded]], list[Statement]]

    @property
    def topics(self) -> tuple[str, ...]:
        """The stored topics that this projection follows."""
        return tuple(event.topic for event in self.events)


def schema_of(name: str) -> str:
    """Return the schema in which the projection `name` keeps its tables."""
    return f"ras_{name}"


def columnar(rows: Iterable[Row], names: Sequence[str]) -> dict[str, list[Any]]:
    """Turn rows into one list a column, the form in which the statements below take them."""
    taken = list(rows)
    return {f"p_{name}": [row[name] for row in taken] for name in names}


def upsert(table: Table, names: Sequence[str]) -> Insert:
    """Return an insert of many rows that, where the primary key exists, overwrites the other `names`.

    Times that tell when something first began or was last changed keep the earlier and the later one.
    """
    statement = insert(table).from_select(list(names), select(*_unnested(table, names)))
    keys = {column.name for column in table.primary_key}
    return statement.on_conflict_do_update(
        index_elements=list(keys),
        set_={
            name: _MERGES[name](table.c[name], statement.excluded[name])
            if name in _MERGES
            else statement.excluded[name]
            for name in names
            if name not in keys
        },
    )


def change(table: Table, names: Sequence[str], *, keys: Sequence[str]) -> Executable:
    """Return an update of many rows, found by `keys`, that sets the other `names`."""
    rows = select(*_unnested(table, names)).subquery()
    statement = update(table).values({name: rows.c[name] for name in names if name not in keys})
    return statement.where(*(table.c[key] == rows.c[key] for key in keys))


def _unnested(table: Table, names: Sequence[str]) -> list[ColumnElement[Any]]:
    return [_unnest(table.c[name]).label(name) for name in names]


def _unnest(column: Column[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, JSONB):
        return cast(func.unnest(bindparam(f"p_{column.name}", type_=ARRAY(Text))), JSONB)
    return func.unnest(bindparam(f"p_{column.name}", type_=ARRAY(column.type)))
