"""Positions: how far each reader has come, moved by compare-and-set.

One row a reader: `intake/<topic>/<partition>` holds the Kafka offset last ingested, `projection/<name>`
the notification id last projected; both inclusive, -1 and 0 before the first. Anyone who moves a position
names the value it started from. If that is no longer there, another owner has moved it: this one is a
zombie and its transaction is void. Several ingesters have a row each in every partition, for the slices that each
works on: `intake/<topic>/<partition>/<first slice>-<slice behind the last>` (`application/intake_positions.py`).

With an intake position goes a mark of the message at it: a topic that was recreated holds another one there.
`not-sent/<topic>` is up to where `ras check` expects no records in an out-topic.
`parked/<transactional id>/<notification id>/<topic>` is a message that the publisher could not send yet.
`rules/outcome` is up to where `ras check` judges by the rules of an early release.
And `ingester/<name>` counts the transactions of one process. A database that was restored while the process
lived counts fewer: what it holds in memory is then of another store, and its transaction is void too.

All SQL on `ras.positions` is here. Those whose connections are not psycopg's synchronous ones take the statements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString

from psycopg import Connection, Cursor

from application.intake_positions import (
    IntakePosition,
    Partition,
    Ranges,
    claimed,
    intake_position,
    partition_in,
    slices_in,
)
from application.ports import Advance, StalePositionError
from domain.slices import SliceRange
from infrastructure.eventstore.topic_epochs import begin_anew

OUTCOME_RULE: Final = "rules/outcome"
"""The position up to which batches were announced once per status, by early releases: 0 where none has written."""

_ADVANCE: Final = """
    UPDATE ras.positions AS p SET position = a.target, mark = a.mark, updated_at = clock_timestamp()
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[]) AS a (name, expected, target, mark)
    WHERE p.name = a.name AND p.position = a.expected
"""
_ENROL: Final = "INSERT INTO ras.positions (name, position) VALUES (%s, 0) ON CONFLICT (name) DO NOTHING"
_READ: Final = "SELECT name, position FROM ras.positions WHERE name = ANY(%s)"
_PARTITION: Final = r"substring(name FROM '^intake/[^/]+/[0-9]+')"
"""SQL of the name of a partition's position, whatever slices a row is of; null for the positions of others."""

_RANGES: Final = f"""
    SELECT {_PARTITION} AS partition, name, position, mark FROM ras.positions
    WHERE name LIKE 'intake/%%' AND {_PARTITION} = ANY(%s)
"""
_DROP: Final = "DELETE FROM ras.positions WHERE name = ANY(%s)"
_PUT: Final = """
    INSERT INTO ras.positions (name, position, mark) SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[])
"""
_ALL_BACK: Final = """
    UPDATE ras.positions AS p SET position = a.target, mark = NULL, updated_at = clock_timestamp()
    FROM unnest(%s::text[], %s::bigint[]) AS a (partition, target) WHERE starts_with(p.name, a.partition || '/')
"""
_FORGET: Final = """
    DELETE FROM ras.positions
    WHERE name LIKE 'ingester/%%' AND name <> %s AND updated_at < clock_timestamp() - interval '30 days'
"""
_FORGET_INTAKE: Final = "DELETE FROM ras.positions WHERE name LIKE 'intake/%' RETURNING name, position"
_BACK_TO_THE_END: Final = """
    UPDATE ras.positions SET position = head, updated_at = clock_timestamp()
    FROM (SELECT coalesce(max(notification_id), 0) AS head FROM ras.stored_events) AS log
    WHERE (name LIKE 'projection/%' OR name LIKE 'publisher/%') AND position > head RETURNING name
"""

EVERY: Final = f"""
    SELECT coalesce({_PARTITION}, name) AS name, min(position) AS position, max(updated_at) AS updated_at
    FROM ras.positions GROUP BY 1 ORDER BY 1
"""
"""All positions, and when each was moved; of a partition, up to where everything is ingested."""

# For SQLAlchemy's connections, of one position `:name`.
CLAIM_ONE: Final = "INSERT INTO ras.positions (name, position) VALUES (:name, 0) ON CONFLICT DO NOTHING"
READ_ONE: Final = "SELECT position FROM ras.positions WHERE name = :name"
LOCK_ONE: Final = f"{READ_ONE} FOR UPDATE"
SET_ONE: Final = "UPDATE ras.positions SET position = :to, updated_at = clock_timestamp() WHERE name = :name"
ADVANCE_ONE: Final = f"{SET_ONE} AND position = :expected"

# For the publisher's asynchronous connection.
READ_COPY: Final = "SELECT position FROM ras.positions WHERE name = %s"
WRITE_COPY: Final = """
    INSERT INTO ras.positions (name, position) VALUES (%s, %s)
    ON CONFLICT (name) DO UPDATE SET position = excluded.position, updated_at = clock_timestamp()
"""
INTAKE: Final = f"""
    SELECT {_PARTITION} AS name, min(position) AS position FROM ras.positions WHERE name LIKE 'intake/%' GROUP BY 1
"""
FURTHEST_INTAKE: Final = INTAKE.replace("min(", "max(")
"""Up to where anything of a partition is ingested."""

NOT_SENT: Final = "SELECT name, position FROM ras.positions WHERE name LIKE 'not-sent/%'"
SET_NOT_SENT: Final = """
    INSERT INTO ras.positions (name, position) SELECT 'not-sent/' || topic, %s FROM unnest(%s::text[]) AS topic
    ON CONFLICT (name) DO UPDATE SET position = excluded.position, updated_at = clock_timestamp()
"""
PARKED: Final = """
    SELECT mark, updated_at FROM ras.positions WHERE starts_with(name, 'parked/' || %s || '/') ORDER BY position, name
"""
"""Messages of events up to the publisher's position that are not sent yet; the mark is all of it as JSON."""
UNSENT: Final = """
    SELECT topic, key, (array_agg(stream_id ORDER BY position))[1] AS stream_id, count(*) AS waiting,
        min(position) AS first_position, min(updated_at) AS since,
        (array_agg(reason ORDER BY position))[1] AS reason
    FROM (
        SELECT position, updated_at, mark::jsonb ->> 1 AS topic, mark::jsonb ->> 2 AS key,
            mark::jsonb ->> 3 AS stream_id, mark::jsonb ->> 4 AS reason
        FROM ras.positions WHERE starts_with(name, 'parked/')
    ) AS parked GROUP BY topic, key ORDER BY first_position, topic
"""
"""The same by topic and key: what waits behind the first message of each, which its topic refuses."""
FORGET_PARKED: Final = """
    DELETE FROM ras.positions WHERE starts_with(name, %(prefix)s) AND NOT name = ANY(%(names)s)
"""
NOTE_PARKED: Final = """
    INSERT INTO ras.positions (name, position, mark)
    SELECT * FROM unnest(%(names)s::text[], %(positions)s::bigint[], %(marks)s::text[])
    ON CONFLICT (name) DO UPDATE SET mark = excluded.mark
"""


def position_of(name: LiteralString) -> LiteralString:
    """Return SQL of the position whose name the SQL `name` gives, null where there is none."""
    return f"(SELECT position FROM ras.positions WHERE name = {name})"


def all_ingested_of(partition: LiteralString) -> LiteralString:
    """Return SQL of the offset up to which everything is ingested of the partition whose position the SQL names."""
    return (
        "(SELECT min(position) FROM ras.positions"
        f" WHERE name = {partition} OR starts_with(name, {partition} || '/'))"
    )


def joined(name: LiteralString) -> LiteralString:
    """Return SQL that joins, as `p`, the position whose name the SQL `name` gives."""
    return f"LEFT JOIN ras.positions p ON p.name = {name}"


OF_READ_MODEL: Final = joined("'projection/' || m.name")
"""SQL that joins, as `p`, the position of the read model `m`."""


def projection_position(name: str) -> str:
    """Return the name of a projection's position."""
    return f"projection/{name}"


def claim(
    cursor: Cursor[Any], partitions: Sequence[Partition], slices: SliceRange, *, lock: Callable[[], None]
) -> Mapping[Partition, Ranges]:
    """Return the positions of `slices` in each partition, and make them positions of these slices alone.

    Nothing is written where they are so already. Else `lock` keeps out all writers first: they move these rows.
    """
    wanted = {intake_position(*partition): partition for partition in partitions}
    found = _ranges(cursor, wanted)
    if any(_changes(found[name], slices) for name in wanted):
        lock()
        found = _ranges(cursor, wanted)
        changed = [name for name in wanted if _changes(found[name], slices)]
        before = {
            name: each for known in changed for name, each in _named(wanted[known], found[known]).items()
        }
        after: dict[str, IntakePosition] = {}
        for name in changed:
            after |= _named(wanted[name], [each for part in claimed(found[name], slices) for each in part])
        cursor.execute(_DROP, ([name for name, each in before.items() if after.get(name) != each],))
        new = {name: each for name, each in after.items() if before.get(name) != each}
        cursor.execute(
            _PUT, (list(new), [each.offset for each in new.values()], [each.mark for each in new.values()])
        )
    return {partition: claimed(found[name], slices)[0] for name, partition in wanted.items()}


def _ranges(cursor: Cursor[Any], wanted: Mapping[str, Partition]) -> dict[str, list[IntakePosition]]:
    found: dict[str, list[IntakePosition]] = {name: [] for name in wanted}
    cursor.execute(_RANGES, (list(wanted),))
    for row in cursor.fetchall():
        found[row["partition"]].append(IntakePosition(slices_in(row["name"]), row["position"], row["mark"]))
    return found


def _named(partition: Partition, ranges: Iterable[IntakePosition]) -> dict[str, IntakePosition]:
    return {intake_position(*partition, each.slices): each for each in ranges}


def _changes(found: Sequence[IntakePosition], slices: SliceRange) -> bool:
    own, others = claimed(found, slices)
    return {*own, *others} != set(found)


def enrol(cursor: Cursor[Any], name: str) -> int:
    """Return an ingester's own position, set to 0 if it has none yet; those long silent are forgotten.

    Who is forgotten while it lives finds out at its next transaction, and enrols again.
    """
    cursor.execute(_FORGET, (name,))
    cursor.execute(_ENROL, (name,))
    return _read(cursor, [name])[name]


def _read(cursor: Cursor[Any], names: Sequence[str]) -> dict[str, int]:
    cursor.execute(_READ, (list(names),))
    return {row["name"]: row["position"] for row in cursor.fetchall()}


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
        found = _read(cursor, [move.name for move in ordered])
        moved = [
            f"{m.name} is at {found[m.name]}, not {m.expected}" if m.name in found else f"{m.name} is gone"
            for m in ordered
            if found.get(m.name) != m.expected
        ]
        raise StalePositionError(f"Another owner is at work: {'; '.join(moved)}.")
    if back := {partition_in(move.name): move.to for move in ordered if move.to < move.expected}:
        # It is another log for all ingesters. Those who do not know it yet find their positions moved.
        cursor.execute(_ALL_BACK, (list(back), list(back.values())))
        begin_anew(cursor, list(back))


def forget_intake(connection: Connection[Any]) -> None:
    """Let every partition be read from its beginning, in a Kafka that has nothing of what was ingested before.

    No ingester may be running.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(_FORGET_INTAKE)
        begin_anew(cursor, sorted({partition_in(row[0]) for row in cursor.fetchall() if row[1] >= 0}))


def back_to_the_end(connection: Connection[Any]) -> list[str]:
    """Set the positions of projections and publishers beyond the end of the log to its end; return their names."""
    return [str(row[0]) for row in connection.execute(_BACK_TO_THE_END).fetchall()]


def read_position(connection: Connection[Any], name: str) -> int:
    """Return a position, 0 where there is none."""
    row = connection.execute(READ_COPY, (name,)).fetchone()
    return int(row[0]) if row else 0
