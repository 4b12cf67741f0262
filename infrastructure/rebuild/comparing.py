"""Compares two sides of a read model as sets of rows, in SQL.

Each row is hashed to 64 bits; a table comes down to the number of its rows and the sum of their hashes,
so that neither order nor the place on disk matters, and one pass over each table is all it takes. Only
where these differ are the tables joined by their key, to say which rows it is.

Both sides must be looked at in one snapshot in which both are at the same position; that is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, text

from infrastructure.postgres.row_differences import RowDifference, count_differing_rows, differing_rows
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
            both = (_qualified(snapshot, live, table), _qualified(snapshot, schema, table))
            differing += count_differing_rows(snapshot, table, *both)
            named += [
                Difference(table.name, row.key, _what(row))
                for row in differing_rows(snapshot, table, *both, limit=NAMED_AT_MOST)
            ]
    return Comparison(rows, differing, tuple(named))


def _digest(snapshot: Connection, schema: str, table: Table) -> tuple[int, Any]:
    name = _qualified(snapshot, schema, table)
    found = snapshot.execute(
        text(f"SELECT count(*), sum(hash_record_extended(t, 0)) FROM {name} t")  # noqa: S608 - names of our own
    )
    count, total = found.one()
    return count, total


def _what(row: RowDifference) -> str:
    if row.is_left and row.is_right:
        return f"differs in {', '.join(sorted(row.columns))}"
    return "only the live side has this row" if row.is_left else "the live side lacks this row"


def _qualified(snapshot: Connection, schema: str, table: Table) -> str:
    quote = snapshot.dialect.identifier_preparer.quote
    return f"{quote(schema)}.{quote(table.name)}"
