"""Are two sides of a read model equal? Their tables are compared as sets of rows, in SQL.

Each row is hashed to 64 bits; a table comes down to the number of its rows and the sum of their hashes,
so that neither order nor the place on disk matters, and one pass over each table is all it takes. Only
where these differ are the tables joined by their key, to say which rows it is.

Both sides must be looked at in one snapshot in which both are at the same position; that is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, text

from infrastructure.rebuild import sides
from projections.projection import Projection, schema_of

NAMED_AT_MOST: Final = 20
"""Rows that are named for each table; all are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not the same on both sides, or a table (then `key` is empty)."""

    table: str
    key: Mapping[str, Any]
    what: str

    def __str__(self) -> str:
        """Return a line for a person."""
        key = ", ".join(f"{name}={value}" for name, value in self.key.items())
        return f"{self.table} {key}: {self.what}" if key else f"{self.table}: {self.what}"

    def as_json(self) -> dict[str, Any]:
        """Return the difference as plain values."""
        return asdict(self) | {"key": {name: str(value) for name, value in self.key.items()}}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found. `differing` counts rows; of each table the first few are named."""

    rows: int
    differing: int
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same rows."""
        return not self.differing


def compare(snapshot: Connection, projection: Projection, schema: str) -> Comparison:
    """Compare the live side with the one in `schema`, table by table."""
    live = schema_of(projection.name)
    here, there = sides.columns(snapshot, live), sides.columns(snapshot, schema)
    rows = differing = 0
    named: list[Difference] = []
    for table in projection.metadata.sorted_tables:
        if here.get(table.name) != there.get(table.name):
            differing += 1
            named.append(Difference(table.name, {}, "the live side has no such table, or other columns"))
            continue
        count = _digest(snapshot, schema, table)
        rows += count[0]
        if _digest(snapshot, live, table) != count:
            found = list(_differences(snapshot, table, live, schema))
            differing += _count(snapshot, table, live, schema)
            named += found
    return Comparison(rows, differing, tuple(named))


def _digest(snapshot: Connection, schema: str, table: Table) -> tuple[int, Any]:
    name = _qualified(snapshot, schema, table)
    found = snapshot.execute(
        text(f"SELECT count(*), sum(hash_record_extended(t, 0)) FROM {name} t")  # noqa: S608 - names of our own
    )
    count, total = found.one()
    return count, total


def _joined(snapshot: Connection, table: Table, live: str, schema: str) -> str:
    quote = snapshot.dialect.identifier_preparer.quote
    keys = " AND ".join(f"l.{quote(c.name)} = n.{quote(c.name)}" for c in table.primary_key)
    return (
        f"FROM {_qualified(snapshot, live, table)} l"
        f" FULL JOIN {_qualified(snapshot, schema, table)} n ON {keys} WHERE l IS DISTINCT FROM n"
    )


def _count(snapshot: Connection, table: Table, live: str, schema: str) -> int:
    joined = _joined(snapshot, table, live, schema)
    return int(snapshot.execute(text(f"SELECT count(*) {joined}")).scalar_one())


def _differences(snapshot: Connection, table: Table, live: str, schema: str) -> Iterator[Difference]:
    quote = snapshot.dialect.identifier_preparer.quote
    names = [column.name for column in table.primary_key]
    keys = ", ".join(f"coalesce(l.{quote(name)}, n.{quote(name)})" for name in names)
    query = (
        f"SELECT to_jsonb(l), to_jsonb(n), {keys} {_joined(snapshot, table, live, schema)}"
        f" ORDER BY {keys} LIMIT {NAMED_AT_MOST}"
    )
    for mine, rebuilt, *key in snapshot.execute(text(query)):
        yield Difference(table.name, dict(zip(names, key, strict=True)), _what(mine, rebuilt))


def _what(mine: dict[str, Any] | None, rebuilt: dict[str, Any] | None) -> str:
    if mine is None or rebuilt is None:
        return "the live side lacks this row" if mine is None else "only the live side has this row"
    columns = sorted(name for name, value in mine.items() if rebuilt[name] != value)
    return f"differs in {', '.join(columns) or 'what JSON does not show'}"


def _qualified(snapshot: Connection, schema: str, table: Table) -> str:
    quote = snapshot.dialect.identifier_preparer.quote
    return f"{quote(schema)}.{quote(table.name)}"
