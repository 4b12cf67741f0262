"""Projections run without followers, and what their tables then hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from domain.aggregate import DomainEvent
from projections.catalogue import PROJECTIONS
from projections.projection import Projection
from projections.recorded import Recorded
from tests.support.fake_store import FakeEventStore

Rows = list[dict[str, Any]]


def recorded_in(store: FakeEventStore) -> list[Recorded]:
    """Return the log of a store as followers read it."""
    return [Recorded(number, store.codec.to_domain_event(stored)) for number, stored in store.log]


def numbered(events: Iterable[DomainEvent], start: int = 1) -> list[Recorded]:
    """Give events places in a log."""
    return [Recorded(number, event) for number, event in enumerate(events, start)]


def project(
    connection: Connection,
    recorded: Sequence[Recorded],
    *,
    cuts: Iterable[int] = (),
    projections: Sequence[Projection] = PROJECTIONS,
) -> None:
    """Run projections over `recorded`, cut into batches before the places `cuts`."""
    borders = [0, *sorted(cuts), len(recorded)]
    for begin, end in pairwise(borders):
        for projection in projections:
            wanted = [each for each in recorded[begin:end] if isinstance(each.event, projection.events)]
            for statement in projection.statements(wanted):
                connection.execute(statement.executable, statement.parameters)


def rows(connection: Connection, table: Table) -> Rows:
    """Return every row of a table, in the order of its key."""
    ordered = select(table).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(ordered).mappings()]


def everything(connection: Connection) -> dict[str, Rows]:
    """Return every row of every read model."""
    tables = (table for projection in PROJECTIONS for table in projection.metadata.sorted_tables)
    return {str(table): rows(connection, table) for table in tables}


def emptied(connection: Connection) -> None:
    """Take everything out of the read models, within the connection's transaction."""
    for projection in PROJECTIONS:
        for table in reversed(projection.metadata.sorted_tables):
            connection.execute(delete(table))
