"""The sink of a projection: its rows and its position in one transaction.

Moving the position comes first in each transaction and locks its row. A rebuild that switches to another
side (`infrastructure/rebuild/switching.py`) holds the same lock, so what follows here is on one side: the
one that is live when the position has moved. Whether that side is still of this release's version is asked
only then, and with a statement of its own: the move's own snapshot may be older than its lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from application.ports import StalePositionError
from infrastructure.eventstore.positions import ADVANCE_ONE, CLAIM_ONE, READ_ONE, projection_position
from infrastructure.followers.follower import RefusedError, SinkNotReadyError, TransientSinkError
from infrastructure.postgres import faults
from infrastructure.postgres.read_models import VERSION, complaint
from infrastructure.postgres.refusals import refusal
from infrastructure.postgres.rows import encoded
from projections.projection import Projection, Statement
from projections.recorded import Recorded

_CLAIM: Final = text(CLAIM_ONE)
_READ: Final = text(READ_ONE)
_ADVANCE: Final = text(ADVANCE_ONE)


class ProjectionSink:
    """Runs a projection's statements on its live tables."""

    def __init__(self, projection: Projection, engine: AsyncEngine, *, idle_interval_s: float) -> None:
        self._projection = projection
        self._engine = engine
        self._name = projection_position(projection.name)
        self._idle_interval_s = idle_interval_s
        self._stored = 0
        self._stored_at = 0.0

    async def position(self) -> int:
        """Return the stored position."""
        try:
            async with self._engine.begin() as connection:
                await self._check_version(connection)
                await connection.execute(_CLAIM, {"name": self._name})
                self._stored = int((await connection.execute(_READ, {"name": self._name})).scalar_one())
        except DBAPIError as error:
            raise _classified(error) from error
        return self._stored

    async def prepare(self, events: Sequence[Recorded]) -> Sequence[Statement]:
        """Return what brings the rows up to date with `events`."""
        return [Statement(s.executable, encoded(s.parameters)) for s in self._projection.statements(events)]

    async def apply(self, prepared: Sequence[Statement], *, to: int) -> None:
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
        """The engine belongs to anyone who made it."""

    async def _commit(self, statements: Sequence[Statement], to: int) -> None:
        try:
            async with self._engine.begin() as connection:
                await self._advance(connection, to)
                for statement in statements:
                    await connection.execute(statement.executable, statement.parameters)
        except StatementError as error:
            raise _classified(error) from error
        self._stored = to
        self._stored_at = monotonic()

    async def _advance(self, connection: AsyncConnection, to: int) -> None:
        # First in the transaction: it locks the row, so a second owner waits here and then finds it moved.
        moved = await connection.execute(_ADVANCE, {"name": self._name, "expected": self._stored, "to": to})
        if moved.rowcount != 1:
            raise StalePositionError(f"Another owner moved {self._name} from {self._stored}.")
        await self._check_version(connection)

    async def _check_version(self, connection: AsyncConnection) -> None:
        found = await connection.execute(VERSION, {"name": self._projection.name})
        unfit = complaint(self._projection, found.scalar_one_or_none())
        if unfit is not None:
            raise SinkNotReadyError(unfit)


def _classified(error: StatementError) -> Exception:
    """Return what a follower should do about a database error: look for the event that is refused, wait, or give up."""
    if (reason := refusal(error)) is not None:
        return RefusedError(reason)
    cause = error.orig
    transient = isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError)
    return TransientSinkError(faults.sentence(error)) if transient else error
