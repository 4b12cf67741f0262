"""Rebuilds that run now, as the database shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

import psycopg
from psycopg.rows import TupleRow, class_row

from infrastructure.rebuild.session import LOCK_KEY

_SELECT: Final = """
    SELECT r.name, r.version, r.state, r.position, r.updated_at, EXISTS (
        SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ExclusiveLock'
            AND l.classid = 0 AND l.objid = %s AND l.objsubid = 1
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ) AS is_at_work
    FROM ras.rebuilds r WHERE r.state IN ('filling', 'catching_up', 'proven') ORDER BY r.name
"""


class RebuildUnderWay(NamedTuple):
    """A side that is not finished: `position` is the last notification id that its rows know of.

    `is_at_work` tells whether a `ras rebuild` runs at all; without one it waits to be resumed.
    """

    name: str
    version: int
    state: str
    position: int
    updated_at: datetime
    is_at_work: bool


async def read_rebuilds(connection: psycopg.AsyncConnection[TupleRow]) -> list[RebuildUnderWay]:
    """Return the rebuilds under way, by name."""
    async with connection.cursor(row_factory=class_row(RebuildUnderWay)) as cursor:
        await cursor.execute(_SELECT, (LOCK_KEY,))
        return await cursor.fetchall()
