"""Single statements that read, for the query API: the shortest way to a row.

A pool of plain connections in autocommit mode, because a front end that polls waits for one select by a primary
key: SQLAlchemy's engine and its greenlets cost it twice the time of the select itself. A connection that
turns out to be dead, or whose prepared statements are for tables as they were before a rebuild, is thrown away
and the statement is asked again on the next: reading twice does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.rows import DictRow, dict_row

from infrastructure.postgres.connections import connect, connect_pooled
from infrastructure.postgres.sessions import ROLE_LIMITS, Limits, session_settings

_BUSY_TIMEOUT_S: Final = 5


class ReadConnections:
    """At most `size` connections, opened when they are needed."""

    def __init__(
        self, database_url: str, *, size: int, limits: Limits = ROLE_LIMITS, pooled_url: str | None = None
    ) -> None:
        self._database_url = database_url
        self._limits = limits
        self._pooled_url = pooled_url
        self._turns = asyncio.Semaphore(size)
        self._idle: list[psycopg.AsyncConnection[DictRow]] = []

    async def rows(self, query: str, parameters: Mapping[str, Any]) -> list[DictRow]:
        """Run `query` with its `%(name)s` parameters and return its rows.

        Raises psycopg's errors: OperationalError when the database is unavailable or every connection is busy for
        longer than five seconds.
        """
        await self._turn()
        try:
            while self._idle:
                connection = self._idle.pop()
                try:
                    return await self._ask(connection, query, parameters)
                except psycopg.Error as error:
                    # What died while it lay idle says so only now.
                    if not connection.closed and not is_outlived(error):
                        raise
                    if connection.closed:
                        await self.close()  # the others lead to the same server: each would cost as long
            return await self._ask(await self._connected(), query, parameters)
        finally:
            self._turns.release()

    async def _turn(self) -> None:
        if not self._turns.locked():
            await self._turns.acquire()  # at once: a timer for each question would cost a tenth of it
            return
        try:
            async with asyncio.timeout(_BUSY_TIMEOUT_S):
                await self._turns.acquire()
        except TimeoutError:
            raise psycopg.OperationalError("every connection is busy") from None

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def _ask(
        self, connection: psycopg.AsyncConnection[DictRow], query: str, parameters: Mapping[str, Any]
    ) -> list[DictRow]:
        is_sound = False
        try:
            if self._pooled_url is None:
                async with connection.cursor(binary=True) as cursor:
                    await cursor.execute(query.encode(), parameters, prepare=True)
                    rows = await cursor.fetchall()
            else:
                rows = await self._ask_pooler(connection, query, parameters)
            is_sound = True
        except psycopg.Error as error:
            is_sound = not is_outlived(error)
            raise
        finally:
            # A statement that was broken off (the client has gone) leaves its connection in an unknown state.
            if is_sound and not connection.closed:
                self._idle.append(connection)
            else:
                await connection.close()
        return rows

    async def _ask_pooler(
        self, connection: psycopg.AsyncConnection[DictRow], query: str, parameters: Mapping[str, Any]
    ) -> list[DictRow]:
        """Ask in a transaction that makes its own settings: the session is another one each time."""
        async with connection.transaction(), connection.cursor(binary=True) as cursor:
            await cursor.execute(session_settings(connection.info.server_version, self._limits, local=True))
            await cursor.execute(query.encode(), parameters, prepare=False)
            return await cursor.fetchall()

    async def _connected(self) -> psycopg.AsyncConnection[DictRow]:
        if self._pooled_url is not None:
            return await connect_pooled(self._pooled_url, limits=self._limits, row_factory=dict_row)
        return await connect(self._database_url, limits=self._limits, row_factory=dict_row)


def is_outlived(error: BaseException | None) -> bool:
    """Whether a prepared statement would now return other columns ("cached plan must not change result type")."""
    return isinstance(error, psycopg.errors.FeatureNotSupported) and "cached plan" in str(error)
