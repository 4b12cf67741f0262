"""PostgreSQL's copy of the publisher's position, and the event in the log at that position.

The copy is late, for checking and for display. The mark of a position names the event at it, by stream,
version and the moment at which its message was received: a store that was restored and has ingested the
same message again holds it with another moment, so a mark tells whether the log is still the one that was
published from. Notification ids alone do not: after a restore they are given out a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from infrastructure.eventstore.positions import (
    FORGET_PARKED,
    INTAKE,
    NOT_SENT,
    NOTE_PARKED,
    PARKED,
    READ_COPY,
    SET_NOT_SENT,
    WRITE_COPY,
)
from infrastructure.postgres.connections import connect

# The time of receipt stands near the beginning of a state, before anything of variable length but the topic. A
# state may have megabytes (a ranking of ten thousand essays): to parse them would be felt by every teacher.
_MARKS: Final = """
    SELECT e.mark FROM unnest(%s::bigint[]) WITH ORDINALITY AS asked (position, place)
    LEFT JOIN LATERAL (
        SELECT format('%%s/%%s/%%s', originator_id, originator_version,
            substring(encode(substring(state FOR 1024), 'escape') FROM '"received_at":"([^"]+)"')) AS mark
        FROM ras.stored_events WHERE notification_id <= asked.position
        ORDER BY notification_id DESC LIMIT 1
    ) AS e ON true ORDER BY asked.place
"""


def publisher_position(transactional_id: str) -> str:
    """Return the name of the copy."""
    return f"publisher/{transactional_id}"


class PositionCopy:
    """The copy for one transactional id, and the marks of any position."""

    def __init__(self, database_url: str, transactional_id: str) -> None:
        self._database_url = database_url
        self._transactional_id = transactional_id
        self._name = publisher_position(transactional_id)
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None

    async def read(self) -> int:
        """Return the copy, 0 if there is none."""
        cursor = await (await self._connected()).execute(READ_COPY, (self._name,), prepare=True)
        row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def intake(self) -> dict[str, int]:
        """Return the positions of the ingesters in their topic-partitions, by name."""
        cursor = await (await self._connected()).execute(INTAKE, prepare=True)
        return {str(name): int(position) for name, position in await cursor.fetchall()}

    async def not_sent(self) -> dict[str, int]:
        """Return by out-topic the notification id up to which its records need not be there.

        A person said so with `--resume-at`, or the events are older than the topic.
        """
        cursor = await (await self._connected()).execute(NOT_SENT, prepare=True)
        return {str(name).partition("/")[2]: int(position) for name, position in await cursor.fetchall()}

    async def set_not_sent(self, topics: Sequence[str], position: int) -> None:
        """Note that records of events up to `position` need not be in `topics`."""
        await (await self._connected()).execute(SET_NOT_SENT, (position, list(topics)))

    async def write(self, position: int) -> None:
        """Overwrite the copy."""
        await (await self._connected()).execute(WRITE_COPY, (self._name, position), prepare=True)

    async def parked(self) -> list[tuple[str, datetime]]:
        """Return the messages that are parked, as JSON, and since when."""
        cursor = await (await self._connected()).execute(PARKED, (self._transactional_id,))
        return [(str(mark), since) for mark, since in await cursor.fetchall()]

    async def write_parked(self, messages: Sequence[tuple[str, int, str]]) -> None:
        """Overwrite which messages are parked: a name, the notification id and the JSON of each."""
        prefix = f"parked/{self._transactional_id}/"
        parameters = {
            "prefix": prefix,
            "names": [f"{prefix}{name}" for name, _, _ in messages],
            "positions": [position for _, position, _ in messages],
            "marks": [mark for _, _, mark in messages],
        }
        connection = await self._connected()
        async with connection.transaction():
            await connection.execute(FORGET_PARKED, parameters)
            await connection.execute(NOTE_PARKED, parameters)

    async def marks(self, *positions: int) -> list[str | None]:
        """Return the mark of the last event at or before each position, None before the first event."""
        cursor = await (await self._connected()).execute(_MARKS, (list(positions),), prepare=True)
        return [mark for (mark,) in await cursor.fetchall()]

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _connected(self) -> psycopg.AsyncConnection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._database_url)
            # A copy that is a little behind after a crash of PostgreSQL is still true: no need to wait for its disk.
            await self._connection.execute("SET synchronous_commit = off")
        return self._connection
