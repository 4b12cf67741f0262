"""Positions: how far each reader has come, moved by compare-and-set.

One row a reader: `intake/<topic>/<partition>` holds the Kafka offset last taken in, `projection/<name>`
the notification id last projected; both inclusive, -1 and 0 before the first. Whoever moves a position
names the value it started from. If that is no longer there, another owner has moved it: this one is a
zombie and its transaction is void.

With an intake position goes a mark of the message at it: a topic that was made anew holds another one there.
`not-sent/<topic>` is up to where `ras check` expects no records in an out-topic.
And `ingester/<name>` counts the transactions of one process. A database that was restored while the process
lived counts fewer: what it holds in memory is then of another store, and its transaction is void too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from psycopg import Cursor

from application.ports import Advance, StalePositionError
from infrastructure.eventstore.topic_epochs import begin_anew

_ADVANCE: Final = """
    UPDATE ras.positions AS p SET position = a.target, mark = a.mark, updated_at = clock_timestamp()
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[]) AS a (name, expected, target, mark)
    WHERE p.name = a.name AND p.position = a.expected
"""
_CLAIM: Final = """
    INSERT INTO ras.positions (name, position)
    SELECT name, %s FROM unnest(%s::text[]) AS name ON CONFLICT (name) DO NOTHING
"""
_READ: Final = "SELECT name, position FROM ras.positions WHERE name = ANY(%s)"
_MARKS: Final = "SELECT name, mark FROM ras.positions WHERE name = ANY(%s) AND mark IS NOT NULL"
_FORGET: Final = """
    DELETE FROM ras.positions
    WHERE name LIKE 'ingester/%%' AND name <> %s AND updated_at < clock_timestamp() - interval '30 days'
"""


def projection_position(name: str) -> str:
    """Return the name of a projection's position."""
    return f"projection/{name}"


def claim(cursor: Cursor[Any], names: Iterable[str], *, start: int) -> Mapping[str, int]:
    """Return the positions of `names`, those that never were set to `start` first."""
    wanted = list(names)
    cursor.execute(_CLAIM, (start, wanted))
    cursor.execute(_READ, (wanted,))
    rows = cursor.fetchall()
    return {row["name"]: row["position"] for row in rows}


def marks(cursor: Cursor[Any], names: Iterable[str]) -> Mapping[str, str]:
    """Return the marks of `names`, of those that have one."""
    cursor.execute(_MARKS, (list(names),))
    return {row["name"]: row["mark"] for row in cursor.fetchall()}


def enrol(cursor: Cursor[Any], name: str) -> int:
    """Return an ingester's own position, set to 0 if it has none yet; those long silent are forgotten.

    Who is forgotten while it lives finds out at its next transaction, and enrols again.
    """
    cursor.execute(_FORGET, (name,))
    return claim(cursor, [name], start=0)[name]


def advance(cursor: Cursor[Any], moves: Sequence[Advance]) -> None:
    """Move all of `moves`, or raise StalePositionError if one of them has another value by now.

    Rows are locked in the order of their names, so that two owners cannot deadlock. A position that moves back is
    in another Kafka log from here on; that is noted.
    """
    ordered = sorted(moves, key=lambda move: move.name)
    cursor.execute(
        _ADVANCE,
        (
            [m.name for m in ordered],
            [m.expected for m in ordered],
            [m.to for m in ordered],
            [m.mark for m in ordered],
        ),
    )
    if cursor.rowcount != len(ordered):
        found = claim(cursor, [move.name for move in ordered], start=-1)
        moved = [
            f"{m.name} is at {found[m.name]}, not {m.expected}"
            for m in ordered
            if found[m.name] != m.expected
        ]
        raise StalePositionError(f"Another owner is at work: {'; '.join(moved)}.")
    begin_anew(cursor, [move.name for move in ordered if move.to < move.expected])
