"""The sink of a projection: its rows and its position in one transaction.

Moving the position comes first in each transaction and locks its row. A rebuild that switches to another
side (`infrastructure/rebuild/switching.py`) holds the same lock, so what follows here is on one side: the
one that is live when the position has moved. Whether that side is still of this release's version is asked
only then, and with a statement of its own: the move's own snapshot may be older than its lock.

All statements of a transaction are sent together (libpq's pipeline mode), and committed once it is known that the
position moved: two trips, however many statements there are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import TupleRow
from sqlalchemy import text

from application.ports import StalePositionError
from infrastructure.eventstore.positions import ADVANCE_ONE, CLAIM_ONE, READ_ONE, projection_position
from infrastructure.followers.follower import RefusedError, SinkNotReadyError, TransientSinkError
from infrastructure.postgres import faults
from infrastructure.postgres.connections import connect
from infrastructure.postgres.read_models import VERSION, complaint
from infrastructure.postgres.refusals import refusal
from infrastructure.postgres.rows import Sql, encoded, sql_of
from projections.projection import Projection
from projections.recorded import Recorded

_CLAIM: Final = sql_of(text(CLAIM_ONE))
_READ: Final = sql_of(text(READ_ONE))
_ADVANCE: Final = sql_of(text(ADVANCE_ONE))
_VERSION: Final = sql_of(VERSION)

_Cursor = psycopg.AsyncCursor[TupleRow]


class _Prepared(NamedTuple):
    """A statement and its parameters, as they go over the wire."""

    sql: Sql
    parameters: Mapping[str, Any]


class ProjectionSink:
    """Runs a projection's statements on its live tables."""

    def __init__(self, projection: Projection, database_url: str, *, idle_interval_s: float) -> None:
        self._projection = projection
        self._database_url = database_url
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self._name = projection_position(projection.name)
        self._idle_interval_s = idle_interval_s
        self._stored = 0
        self._stored_at = 0.0

    async def position(self) -> int:
        """Return the stored position."""
        async with self._connected() as connection, connection.cursor() as cursor:
            await self._check_version(await _run(cursor, _VERSION, {"name": self._projection.name}))
            await _run(cursor, _CLAIM, {"name": self._name})
            [(position,)] = await (await _run(cursor, _READ, {"name": self._name})).fetchall()
        self._stored = int(position)
        return self._stored

    async def prepare(self, events: Sequence[Recorded]) -> Sequence[_Prepared]:
        """Return what brings the rows up to date with `events`."""
        return [
            _Prepared(sql_of(executable), encoded(parameters))
            for executable, parameters in self._projection.statements(events)
        ]

    async def apply(self, prepared: Sequence[_Prepared], *, to: int) -> None:
        """Bring the rows up to date and move the position."""
        # What follows starts from what is stored: empty stretches are not written one by one.
        await self._commit(prepared, to)

    async def idle(self, position: int) -> None:
        """Store the position now and then although nothing changed, so that its lag can be seen."""
        if position > self._stored and monotonic() - self._stored_at >= self._idle_interval_s:
            await self._commit((), position)

    def complaint(self) -> str | None:
        """Nothing: a projection goes on with all of its rows, or not at all."""
        return None

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _commit(self, prepared: Sequence[_Prepared], to: int) -> None:
        async with self._connected() as connection:
            moved, version = connection.cursor(), connection.cursor()
            try:
                async with connection.pipeline():
                    await connection.execute("BEGIN")
                    # First in the transaction: it locks the row, so a second owner waits here and then finds it moved.
                    await _run(moved, _ADVANCE, {"name": self._name, "expected": self._stored, "to": to})
                    await _run(version, _VERSION, {"name": self._projection.name})
                    for sql, parameters in prepared:
                        await _run(connection.cursor(), sql, parameters)
            except psycopg.Error:
                # What comes behind these two may have failed because there is another owner by now, or another side.
                if version.pgresult is not None:
                    await self._check(moved, version)
                raise
            await self._check(moved, version)
            await connection.execute("COMMIT")
        self._stored = to
        self._stored_at = monotonic()

    async def _check(self, moved: _Cursor, version: _Cursor) -> None:
        if moved.rowcount != 1:
            raise StalePositionError(f"Another owner moved {self._name} from {self._stored}.")
        await self._check_version(version)

    async def _check_version(self, found: _Cursor) -> None:
        row = await found.fetchone()
        unfit = complaint(self._projection, None if row is None else row[0])
        if unfit is not None:
            raise SinkNotReadyError(unfit)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[psycopg.AsyncConnection[TupleRow]]:
        """Lend the connection. After a fault it is closed, and with it any transaction."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await connect(self._database_url)
                # What is lost when the server crashes is lost with its position, and is done again (decision 128).
                await self._connection.execute("SET synchronous_commit = off")
            yield self._connection
        except psycopg.Error as error:
            await self.close()
            if (known := _classified(error)) is None:
                raise
            raise known from error
        except BaseException:
            await self.close()
            raise


async def _run(cursor: _Cursor, sql: Sql, parameters: Mapping[str, Any]) -> _Cursor:
    return await cursor.execute(sql.text, {**sql.constants, **parameters}, prepare=True)


def _classified(error: psycopg.Error) -> Exception | None:
    """Return what a follower should do about a database error: look for the event that is refused, wait; None: give up."""
    if (reason := refusal(error)) is not None:
        return RefusedError(reason)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError):
        return TransientSinkError(faults.sentence(error))
    return None
