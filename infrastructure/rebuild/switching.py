"""The switch: one short transaction after which everybody reads and writes another side.

It locks the live position first, as the projector does in each of its transactions. So a projector in
mid-transaction is waited for, and the next one waits for the switch, then finds the position where the
new side is (or, if that is elsewhere, that it has been overtaken, and asks again). Then readers are
locked out, schemas renamed, and positions, versions and the rebuild's state changed: all of it or
nothing. Renaming a schema invalidates every session's cached plans, so prepared statements are analysed
again and find the new tables under the old names.

Readers queue behind anyone who waits for their tables. The waits are therefore short at first, and longer
only when that did not help (autovacuum gives way after a second).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from infrastructure.eventstore.positions import CLAIM_ONE, LOCK_ONE, SET_ONE, projection_position
from infrastructure.rebuild import journal, sides
from infrastructure.rebuild.filling import LogReader, fill_within
from infrastructure.rebuild.journal import Build, Kept
from infrastructure.rebuild.session import RebuildError
from infrastructure.rebuild.states import Step
from projections.projection import schema_of

WAITS_MS: Final = (100, 200, 400, 800, 1_500, 3_000, 3_000, 3_000)
_CLAIM: Final = text(CLAIM_ONE)
_LOCK: Final = text(LOCK_ONE)
_SET: Final = text(SET_ONE)
_NEW_LIVE: Final = text(
    "INSERT INTO ras.read_models AS m (name, version) VALUES (:name, :version)"
    " ON CONFLICT (name) DO UPDATE SET version = excluded.version, generation = m.generation + 1,"
    " kept_version = :kept_version, kept_position = :kept_position"
)
_TURNED_LIVE: Final = text(
    "UPDATE ras.read_models SET generation = generation + 1, version = kept_version,"
    " kept_version = version, kept_position = :kept_position WHERE name = :name"
)

_Result = TypeVar("_Result")


def locked_position(connection: Connection, name: str) -> int:
    """Return the live position of a projection and keep it there until the transaction ends."""
    given = {"name": projection_position(name)}
    connection.execute(_CLAIM, given)
    return int(connection.execute(_LOCK, given).scalar_one())


def swap(connection: Connection, log: LogReader, build: Build) -> Build:
    """Make the new side the live one, and keep the one that was.

    Raises RebuildError if the live tables are never free for it; nothing has changed then.
    """
    name, live = build.projection.name, schema_of(build.projection.name)

    def once() -> Build:
        # The order keeps two deadlocks and one gap away. The position first: the projector locks it first too, so
        # the one waits for the other before either holds a table. Filled under that lock, or an event projected
        # meanwhile would be on the old side only. Readers are locked out last, because they queue behind the
        # wait for their tables: filling must not lie within it. DDL is transactional in PostgreSQL, and the
        # journal moves in the same transaction: killed at any line, the live side is the old one and `ras rebuild`
        # goes on with what is filled; killed after the commit, it finds the step done.
        position = locked_position(connection, name)
        standing = journal.live(connection, name)
        is_in_the_log = position <= log.head()  # a position beyond its end would stop anyone who follows
        done = fill_within(connection, log, build, max(position, build.position)) if is_in_the_log else build
        sides.lock_out_readers(connection, live)
        sides.drop(connection, sides.kept_schema(name))
        if sides.exists(connection, live):
            sides.rename(connection, live, sides.kept_schema(name))
        sides.rename(connection, build.schema, live)
        _set_position(connection, name, done.position)
        kept = (standing.version, position) if standing is not None else (None, None)
        values = {"name": name, "version": build.projection.version}
        connection.execute(_NEW_LIVE, values | {"kept_version": kept[0], "kept_position": kept[1]})
        return done.moved(connection, Step.SWAP)

    return _patiently(connection, name, once)


def turn(connection: Connection, log: LogReader, kept: Kept, *, can_follow: bool) -> int:
    """Make the kept side the live one again, and keep the one that was. Return the position it is at.

    With `can_follow` the kept side is brought up to the live position first; else it is live as it is, and
    anyone who follows it goes on from its position.
    """
    name, live, aside = kept.projection.name, schema_of(kept.projection.name), "ras__turning"

    def once() -> int:
        position = locked_position(connection, name)
        done = fill_within(connection, log, kept, position) if can_follow else kept
        sides.lock_out_readers(connection, live)
        sides.rename(connection, live, aside)
        sides.rename(connection, kept.schema, live)
        sides.rename(connection, aside, kept.schema)
        _set_position(connection, name, done.position)
        connection.execute(_TURNED_LIVE, {"name": name, "kept_position": position})
        journal.turned(connection, name)
        return done.position

    return _patiently(connection, name, once)


def _set_position(connection: Connection, name: str, to: int) -> None:
    connection.execute(_SET, {"name": projection_position(name), "to": to})


def _patiently(connection: Connection, name: str, once: Callable[[], _Result]) -> _Result:
    """Run a switch in a transaction; where a lock is not to be had in time, try again with more patience."""
    for wait_ms in WAITS_MS:
        try:
            with connection.begin():
                connection.execute(text(f"SET LOCAL lock_timeout = '{wait_ms}ms'"))
                # The one transaction whose loss somebody would notice: they have been told of the switch.
                connection.execute(text("SET LOCAL synchronous_commit = on"))
                return once()
        except DBAPIError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
                raise
    raise RebuildError(
        f"The tables of {name} are held by somebody's long transaction, so the switch was not made and the "
        "live side is as it was. End that transaction (pg_stat_activity shows it) and run this again: what "
        "was built is kept."
    )
