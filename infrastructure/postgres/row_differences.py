"""Finds the rows in which two relations of one form differ, in SQL: joined by key, compared by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, text


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that is on one side only, or differs in `columns`."""

    key: Mapping[str, Any]
    is_left: bool
    is_right: bool
    columns: Sequence[str]


def differing_rows(
    connection: Connection,
    table: Table,
    left: str,
    right: str,
    *,
    limit: int,
    parameters: Mapping[str, Any] | None = None,
) -> Iterator[RowDifference]:
    """Yield the first `limit` rows that differ, by key. `left` and `right` are SQL: names of tables, or queries in brackets."""
    quoted = connection.dialect.identifier_preparer.quote
    keys = [column.name for column in table.primary_key]
    key = ", ".join(f"coalesce(l.{quoted(name)}, r.{quoted(name)})" for name in keys)
    columns = ", ".join(
        f"CASE WHEN l.{quoted(c.name)} IS DISTINCT FROM r.{quoted(c.name)} THEN '{c.name}' END"
        for c in table.columns
    )
    there = [
        f"{side}.{quoted(keys[0])} IS NOT NULL" for side in "lr"
    ]  # a column of a primary key is never null
    query = (
        f"SELECT {', '.join(there)}, array_remove(ARRAY[{columns}], NULL), {key}"
        f" {_joined(connection, table, left, right)} ORDER BY {key} LIMIT {limit}"
    )
    for is_left, is_right, names, *values in connection.execute(text(query), parameters or {}):
        yield RowDifference(dict(zip(keys, values, strict=True)), is_left, is_right, names)


def count_differing_rows(connection: Connection, table: Table, left: str, right: str) -> int:
    """Return how many rows differ."""
    query = f"SELECT count(*) {_joined(connection, table, left, right)}"
    return int(connection.execute(text(query)).scalar_one())


def _joined(connection: Connection, table: Table, left: str, right: str) -> str:
    quoted = connection.dialect.identifier_preparer.quote
    keys = " AND ".join(f"l.{quoted(c.name)} = r.{quoted(c.name)}" for c in table.primary_key)
    # By name: a side that was altered by hand may have its columns in another order.
    rows = [f"({', '.join(f'{side}.{quoted(c.name)}' for c in table.columns)})" for side in "lr"]
    return f"FROM {left} l FULL JOIN {right} r ON {keys} WHERE {rows[0]} IS DISTINCT FROM {rows[1]}"
