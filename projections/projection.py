"""What a projection is: a name, a version, the events it wants, its tables, and what events do to them.

A projection folds a whole batch of events, one after the other, into few set-based statements. It neither
runs them nor knows a position: the follower runs them and moves the position in the same transaction, so the statements may
assume that each event comes exactly once and in order, within a batch and across batches. A database
trip costs the same for one row and for a thousand, hence the rows of a statement travel together, as an array
for each column (`unnest`; an array of JSON objects cost PostgreSQL twice the time to read). The arrays are
written as text, because the driver writes them element by element.

A rebuild runs the same statements in another schema. So they are built from the projection's `Table`
objects, whose schema SQLAlchemy can exchange, and never name a schema in a text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Dialect,
    Executable,
    FromClause,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    cast,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, insert

from domain.aggregate import DomainEvent
from projections.recorded import Recorded

Merge = Callable[[ColumnElement[Any], ColumnElement[Any]], ColumnElement[Any]]
"""From the value in the table and the new one to the one that is kept."""

_MERGES: Final[Mapping[str, Merge]] = {"processing_started_at": func.least, "last_updated": func.greatest}


Row = Mapping[str, Any]

GIVEN: Final = "given_"
"""With this begins the name of a parameter that is a column of rows."""


class Statement(NamedTuple):
    """A statement and its parameters, ready to be executed."""

    executable: Executable
    parameters: Mapping[str, Any]


class Changes(Protocol):
    """What a batch of events comes to; it keeps the rows, not the events. Pure."""

    def take(self, recorded: Recorded) -> None:
        """Fold one event in, of a class that the projection wants."""

    def statements(self) -> Iterator[Statement]:
        """Yield what brings the tables up to date, to be run in this order."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A read model.

    `name` names its position and, with the prefix `ras_`, its schema. Raise `version` when the same
    events are to give other rows. `changes` begins a batch of events.
    """

    name: str
    version: int
    events: tuple[type[DomainEvent], ...]
    metadata: MetaData
    changes: Callable[[], Changes]

    @property
    def topics(self) -> tuple[str, ...]:
        """The stored topics that this projection follows."""
        return tuple(event.topic for event in self.events)

    def statements(self, recorded: Iterable[Recorded]) -> list[Statement]:
        """Return what brings the tables up to date with a batch of events."""
        changes = self.changes()
        for each in recorded:
            changes.take(each)
        return list(changes.statements())


def schema_of(name: str) -> str:
    """Return the schema in which the projection `name` keeps its tables."""
    return f"ras_{name}"


def as_rows(rows: Iterable[Row]) -> dict[str, Sequence[Any]]:
    """Return `rows`, at least one and all with the same names, as the parameters of the statements below."""
    rows = list(rows)
    names = tuple(rows[0])
    return {_parameter(name): [row[name] for row in rows] for name in names}


def _parameter(name: str) -> str:
    return f"{GIVEN}{name}"


def array_text(values: Iterable[Any]) -> str:
    """Return `values`, None for NULL, as the text form of an array; objects and lists as JSON."""
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, dict | list | tuple):
        value = json.dumps(value, default=_plain)
    elif isinstance(value, int | float):  # bool too
        return str(value)
    elif not isinstance(value, str):
        value = _plain(value)
    escaped = value.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


class ArrayAsText(TypeDecorator[Any]):
    """The type of a column of rows. Who has a faster way to write it may hand over the text itself."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        """Return the text."""
        del dialect
        return value if isinstance(value, str) else array_text(value)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"  # the text form of bytea
    raise TypeError(f"{type(value).__name__} is no value of a column")


def upsert(table: Table, names: Sequence[str], *, merge: Mapping[str, Merge] | None = None) -> Insert:
    """Return an insert of many rows that, where the primary key exists, overwrites the other `names`.

    Times that tell when something first began or was last changed keep the earlier and the later one;
    `merge` says for further columns what becomes of the value there and the new one.
    """
    merges = {**_MERGES, **(merge or {})}
    rows = given_rows(table, names)
    statement = insert(table).from_select(list(names), select(*(rows.c[name] for name in names)))
    keys = {column.name for column in table.primary_key}
    return statement.on_conflict_do_update(
        index_elements=list(keys),
        set_={
            name: merges[name](table.c[name], statement.excluded[name])
            if name in merges
            else statement.excluded[name]
            for name in names
            if name not in keys
        },
    )


@cache
def _upsert_of(table: Table, names: frozenset[str]) -> Insert:
    return upsert(table, [name for name in map(str, table.columns.keys()) if name in names])


def upserts(table: Table, rows: Iterable[Row]) -> Iterator[Statement]:
    """Yield what brings in `rows` of which each has the key and some columns: a statement for each choice."""
    alike: dict[frozenset[str], list[Row]] = {}
    for row in rows:
        alike.setdefault(frozenset(row), []).append(row)
    for names, chosen in alike.items():
        yield Statement(_upsert_of(table, names), as_rows(chosen))


def change(
    table: Table, names: Sequence[str], *, keys: Sequence[str], merge: Mapping[str, Merge] | None = None
) -> Executable:
    """Return an update of many rows, found by `keys`, that sets the other `names`.

    `merge` says for some columns what becomes of the value there and the new one.
    """
    merges = merge or {}
    rows = given_rows(table, names)
    changed = [name for name in names if name not in keys]
    statement = update(table).values(
        {
            name: merges[name](table.c[name], rows.c[name]) if name in merges else rows.c[name]
            for name in changed
        }
    )
    return statement.where(*(table.c[key] == rows.c[key] for key in keys))


def given_rows(table: Table, names: Sequence[str]) -> FromClause:
    """Return the parameters of `as_rows` as a table with the columns `names`, typed like those of `table`."""
    columns = [Column(name, table.c[name].type) for name in names]
    arrays = [cast(bindparam(_parameter(c.name), type_=ArrayAsText), _array_of(c)) for c in columns]
    return func.unnest(*arrays).table_valued(*columns).render_derived()


def _array_of(column: Column[Any]) -> ARRAY[Any]:
    kind = column.type
    return ARRAY(Text() if isinstance(kind, Text) else kind)  # arrays have no collation of their own
