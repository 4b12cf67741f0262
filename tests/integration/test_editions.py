"""The editions of batches: one question for all that ask at a time, and none answered from before it asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from application.queries import Edition
from infrastructure.queries.batches import PostgresQueries
from infrastructure.queries.read_pool import ReadConnections
from tests.support.postgres_probe import PostgresProbe

_BATCH = """
    INSERT INTO ras_batch_results.batches (batch_id, user_id, position, last_updated, registered_at, status)
    VALUES (%s, 'teacher-0007', %s, now(), now(), 'awaiting_content_validation')
    ON CONFLICT (batch_id) DO UPDATE SET position = excluded.position
"""


class Asking:
    """The real connections. Each answer is held back while `go_on` is not set."""

    def __init__(self, reads: ReadConnections) -> None:
        self._reads = reads
        self.asked = 0
        self.answered = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def rows(self, query: Any, parameters: Mapping[str, Any]) -> list[Any]:
        """Run a query."""
        self.asked += 1
        rows = await self._reads.rows(query, parameters)
        self.answered.set()
        await self.go_on.wait()
        return list(rows)


@pytest.fixture
async def asking(store_url: str, database: PostgresProbe) -> AsyncIterator[Asking]:
    """Connections to a database in which two batches are."""
    for number in (1, 2):
        database.execute(_BATCH, f"batch-{number}", number)
    reads = ReadConnections(store_url, size=4)
    yield Asking(reads)
    await reads.close()


async def test_those_that_ask_at_a_time_share_a_question(asking: Asking) -> None:
    queries = PostgresQueries(asking.rows)

    found = await asyncio.gather(*map(queries.edition, ["batch-1", "batch-2", "batch-1", "unknown"]))

    assert found == [Edition(1, 1), Edition(1, 2), Edition(1, 1), None]
    assert asking.asked == 1


async def test_nobody_is_answered_from_before_they_asked(asking: Asking, database: PostgresProbe) -> None:
    queries = PostgresQueries(asking.rows)
    asking.go_on.clear()
    first = asyncio.create_task(queries.edition("batch-1"))
    await asking.answered.wait()
    database.execute(_BATCH, "batch-1", 7)

    second = asyncio.create_task(queries.edition("batch-1"))
    await asyncio.sleep(0)
    asking.go_on.set()

    assert await first == Edition(1, 1)
    assert await second == Edition(1, 7)


async def test_one_that_goes_away_takes_nobody_along(asking: Asking) -> None:
    queries = PostgresQueries(asking.rows)
    asking.go_on.clear()
    gone, stays = (asyncio.create_task(queries.edition("batch-1")) for _ in range(2))
    await asking.answered.wait()

    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    asking.go_on.set()

    assert await stays == Edition(1, 1)


async def test_a_fault_is_everybodys_and_the_next_question_is_asked_all_the_same(asking: Asking) -> None:
    queries = PostgresQueries(asking.rows)

    tried = map(queries.edition, ["batch-1", "no id of PostgreSQL's: \0"])
    met = await asyncio.gather(*tried, return_exceptions=True)

    assert [type(each) for each in met] == [psycopg.DataError] * 2
    assert await queries.edition("batch-1") == Edition(1, 1)
