"""Many wait, one looks: what waiting for read models asks of the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from application.queries import Edition
from infrastructure.eventstore.log import LogListener
from infrastructure.queries.read_pool import ReadConnections
from infrastructure.queries.watch import ReadModelWatch
from infrastructure.resilience import Backoff
from tests.support.following import until
from tests.support.given import caused_by, registered
from tests.support.postgres_probe import PostgresProbe, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain

LONG_S = 500.0
BATCHES = 300


class Asked:
    """The way to the database, noting each question; `fails` lets the next ones fail."""

    def __init__(self, reads: ReadConnections) -> None:
        self._reads = reads
        self.questions: list[Mapping[str, Any]] = []
        self.fails = False

    async def rows(self, query: str, parameters: Mapping[str, Any]) -> Any:
        self.questions.append(parameters)
        if self.fails:
            raise psycopg.OperationalError("the connection is lost")
        return await self._reads.rows(query, parameters)


@pytest.fixture
def database(postgres_server: PostgresServerUnderTest) -> Iterator[tuple[str, PostgresProbe]]:
    """A database that knows a few hundred batches, the n-th at position n."""
    with fresh_database(postgres_server.url) as url, probe(url) as looking:
        chain = Chain(url)
        batches = [chain.batch(f"b{number}") for number in range(1, BATCHES + 1)]
        for number, batch in enumerate(batches, 1):
            registered("e1").tell(batch, caused_by(number))
        chain.project(event for batch in batches for event in batch.collect_events())
        looking.execute("INSERT INTO ras.positions (name, position) VALUES ('projection/batch_results', 300)")
        yield url, looking


@asynccontextmanager
async def watching(url: str, stopping: asyncio.Event) -> AsyncIterator[tuple[ReadModelWatch, Asked]]:
    """A watch, ended with the block."""
    reads = ReadConnections(url, size=5)
    asked = Asked(reads)
    watch = ReadModelWatch(asked.rows, LogListener(url, Backoff(0.01, 0.05)), stopping)
    try:
        yield watch, asked
    finally:
        await watch.close()
        await reads.close()


def moved(looking: PostgresProbe, number: int, position: int) -> None:
    """Let the projection change a batch, which moves its own position too."""
    looking.execute(
        "WITH moved AS (UPDATE ras.positions SET position = %s WHERE name = 'projection/batch_results')"
        " UPDATE ras_batch_results.batches SET position = %s WHERE batch_id = %s",
        *(position, position, f"b{number}"),
    )


async def test_one_question_for_all_batches_that_are_waited_for(database: tuple[str, PostgresProbe]) -> None:
    url, looking = database

    stopping = asyncio.Event()
    async with watching(url, stopping) as (watch, asked):
        waits = {
            number: asyncio.create_task(
                watch.until_changed(f"b{number}", Edition(1, number), timeout_s=LONG_S)
            )
            for number in range(1, BATCHES + 1)
        }
        await until(
            lambda: any(len(q.get("ids", ())) == BATCHES for q in asked.questions),
            what="the watch has looked",
        )
        moved(looking, 7, 301)
        assert await waits[7]
        assert [number for number, wait in waits.items() if wait.done()] == [7]
        assert watch.waiting == BATCHES - 1

        # While nothing moves, batches are not looked at: only positions are.
        await until(
            lambda: not any(q.get("ids") for q in asked.questions[-3:]),
            what="only positions are looked at",
        )

        stopping.set()
        others = await asyncio.gather(*(wait for number, wait in waits.items() if number != 7))
        assert not any(others)
        assert watch.waiting == 0


async def test_nobody_looks_while_nobody_waits(database: tuple[str, PostgresProbe]) -> None:
    url, looking = database

    async with watching(url, asyncio.Event()) as (watch, asked):
        assert await watch.until_reached("batch_results", 300, timeout_s=LONG_S)
        assert len(asked.questions) == 1
        assert not await watch.until_changed("b1", Edition(1, 1), timeout_s=0.01)
        await until(lambda: len(looking.listening()) == 1, what="the watch has looked")
        ended = len(asked.questions)
        looking.execute("NOTIFY stored_events")
        await asyncio.gather(*(watch.position("batch_results") for _ in range(20)))
        assert len(asked.questions) - ended <= 21  # the look that was under way, at most


async def test_what_changed_before_the_wait_began_is_seen(database: tuple[str, PostgresProbe]) -> None:
    url, _ = database

    async with watching(url, asyncio.Event()) as (watch, _):
        waiting = asyncio.create_task(watch.until_changed("b2", Edition(1, 2), timeout_s=LONG_S))
        await until(lambda: watch.waiting == 1, what="the watch has looked")
        assert await watch.until_changed("b1", Edition(1, 0), timeout_s=LONG_S)
        assert await watch.until_changed("b1", Edition(0, 1), timeout_s=LONG_S)
        assert await watch.until_changed("nobody", Edition(1, 1), timeout_s=LONG_S)
        assert not waiting.done()


async def test_a_database_that_is_away_is_waited_out(database: tuple[str, PostgresProbe]) -> None:
    url, looking = database

    async with watching(url, asyncio.Event()) as (watch, asked):
        waiting = asyncio.create_task(watch.until_changed("b7", Edition(1, 7), timeout_s=LONG_S))
        await until(lambda: len(asked.questions) > 1, what="the watch has looked")
        asked.fails = True
        tried = len(asked.questions)
        await until(lambda: len(asked.questions) > tried, what="the watch has looked")
        moved(looking, 7, 301)
        assert not waiting.done()
        asked.fails = False
        assert await waiting
