"""A table with each role's own report: written beside its work, read by `ras status`.

Positions and lags need no report: the store and Kafka tell them, also of a role that is dead. A report
adds what only the process knows: how fast it goes, what it waits for, and its last error, which stays when
the process has ended. One row a reader, and the last who reports has it; of two errors the later one stays.

Reports are of no consequence: one that cannot be written is dropped, and a crash of PostgreSQL may lose
the last second of them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final, NamedTuple

import psycopg
from psycopg.rows import TupleRow, class_row

from infrastructure.postgres.connections import connect
from infrastructure.role_status import RoleStatus

SILENT_AFTER: Final = timedelta(seconds=30)
"""Who has not reported for so long does not run, or cannot reach the database."""

_HEARTBEAT_S: Final = 10.0
_LAST_WORD_TIMEOUT_S: Final = 2.0
_LONGEST_ERROR: Final = 500

_WRITE: Final = """
    INSERT INTO ras.role_status AS r
        (reader, owner, condition, per_second, last_error, last_error_at, reported_at)
    SELECT *, clock_timestamp() FROM unnest(
        %s::text[], %s::text[], %s::text[], %s::float8[], %s::text[], %s::timestamptz[])
    ON CONFLICT (reader) DO UPDATE SET
        owner = excluded.owner, condition = excluded.condition, per_second = excluded.per_second,
        last_error = CASE WHEN excluded.last_error_at >= coalesce(r.last_error_at, '-infinity')
            THEN excluded.last_error ELSE r.last_error END,
        last_error_at = greatest(excluded.last_error_at, r.last_error_at),
        reported_at = excluded.reported_at
"""
_READ: Final = """
    SELECT reader, owner, condition, per_second, last_error, last_error_at,
        clock_timestamp() - reported_at AS age
    FROM ras.role_status
"""


class RoleReport(NamedTuple):
    """What a role said of one of its readers, and how long ago."""

    reader: str
    owner: str
    condition: str
    per_second: float
    last_error: str | None
    last_error_at: datetime | None
    age: timedelta


async def read_reports(connection: psycopg.AsyncConnection[TupleRow]) -> dict[str, RoleReport]:
    """Return the last report on each reader."""
    async with connection.cursor(row_factory=class_row(RoleReport)) as cursor:
        await cursor.execute(_READ)
        return {report.reader: report for report in await cursor.fetchall()}


@asynccontextmanager
async def reporting(
    database_url: str, statuses: Sequence[RoleStatus], *, interval_s: float = 1.0
) -> AsyncIterator[None]:
    """Report on `statuses` every `interval_s` seconds while the block runs, and once more at its end."""
    reporter = _Reporter(database_url, statuses)
    task = asyncio.create_task(reporter.run(interval_s), name="reports")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORD_TIMEOUT_S):
                await reporter.report()
        await reporter.close()


class _Row(NamedTuple):
    reader: str
    owner: str
    condition: str
    per_second: float
    last_error: str | None
    last_error_at: datetime | None


class _Reporter:
    def __init__(self, database_url: str, statuses: Sequence[RoleStatus]) -> None:
        self._database_url = database_url
        self._statuses = statuses
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._connection: psycopg.AsyncConnection[TupleRow] | None = None
        self._handled: dict[str, int] = {}
        self._slow_since: dict[str, datetime] = {}
        self._measured_at = monotonic()
        self._written: list[_Row] = []
        self._written_at = 0.0

    async def run(self, interval_s: float) -> None:
        """Report until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.report()

    async def report(self) -> None:
        """Write what has changed, and all of it now and then: silence means that nobody is there."""
        rows = self._rows()
        if rows == self._written and monotonic() - self._written_at < _HEARTBEAT_S:
            return
        try:
            if self._connection is None:
                self._connection = await connect(self._database_url)
                await self._connection.execute("SET synchronous_commit = off")
            await self._connection.execute(_WRITE, [list(column) for column in zip(*rows, strict=True)])
        except psycopg.Error:
            await self.close()  # the roles say themselves that the database is unavailable
        else:
            self._written, self._written_at = rows, monotonic()

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _rows(self) -> list[_Row]:
        now = monotonic()
        elapsed_s = max(now - self._measured_at, 1e-3)
        self._measured_at = now
        rows: list[_Row] = []
        handled_now: dict[str, int] = {}
        for status in self._statuses:
            condition, reason = status.now()
            last_error, last_error_at = status.last_error, status.last_error_at
            if condition is not status.condition:  # slow, and not yet failed
                last_error, last_error_at = (
                    reason,
                    self._slow_since.setdefault(status.name, datetime.now(UTC)),
                )
            else:
                self._slow_since.pop(status.name, None)
            error = None if last_error is None else last_error[:_LONGEST_ERROR]
            counts = {status.name: sum(status.handled.values())} | status.handled
            for reader, handled in sorted(counts.items()):
                rate = round(max(0, handled - self._handled.get(reader, 0)) / elapsed_s, 1)
                rows.append(_Row(reader, self._owner, condition.value, rate, error, last_error_at))
            handled_now |= counts
        self._handled = handled_now
        return rows
