"""Connections that read: what was broken is thrown away, what is busy is waited for, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from infrastructure.queries.read_pool import ReadConnections
from tests.support.postgres_probe import PostgresProbe

_MINE = "SELECT pg_backend_pid() AS pid"


@asynccontextmanager
async def reading(url: str, size: int = 2) -> AsyncIterator[ReadConnections]:
    """Connections that are closed in the end."""
    reads = ReadConnections(url, size=size)
    try:
        yield reads
    finally:
        await reads.close()


async def test_a_connection_is_used_again(store_url: str) -> None:
    async with reading(store_url) as reads:
        first = await reads.rows(_MINE, {})
        assert await reads.rows(_MINE, {}) == first


async def test_one_that_died_while_it_lay_idle_is_replaced(store_url: str, database: PostgresProbe) -> None:
    async with reading(store_url) as reads:
        [first] = await reads.rows(_MINE, {})
        await asyncio.to_thread(database.terminate, first["pid"])
        [second] = await reads.rows(_MINE, {})
        assert second != first


async def test_one_that_outlived_its_tables_is_replaced(store_url: str, database: PostgresProbe) -> None:
    database.execute("DROP TABLE IF EXISTS public.changing")
    database.execute("CREATE TABLE public.changing AS SELECT 1 AS one")

    async with reading(store_url) as reads:
        query = "SELECT * FROM public.changing"
        assert await reads.rows(query, {}) == [{"one": 1}]
        database.execute("ALTER TABLE public.changing ADD COLUMN two int DEFAULT 2")
        assert await reads.rows(query, {}) == [{"one": 1, "two": 2}]


async def test_what_the_database_refuses_costs_no_connection(store_url: str) -> None:
    async with reading(store_url) as reads:
        before = await reads.rows(_MINE, {})
        with pytest.raises(psycopg.errors.UndefinedTable):
            await reads.rows("SELECT * FROM no_such_table", {})
        assert await reads.rows(_MINE, {}) == before


async def test_a_question_that_is_broken_off_takes_its_connection_along(store_url: str) -> None:
    async with reading(store_url, size=1) as reads:
        before = await reads.rows(_MINE, {})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reads.rows("SELECT pg_sleep(60)", {})
        assert await reads.rows(_MINE, {}) != before


async def test_many_ask_over_few_connections(store_url: str) -> None:
    async with reading(store_url) as reads:
        answers = await asyncio.gather(*(reads.rows("SELECT %(n)s::int AS n", {"n": n}) for n in range(50)))
        assert answers == [[{"n": n}] for n in range(50)]


async def test_a_database_that_is_away_is_said_at_once() -> None:
    async with reading("postgresql://nobody@127.0.0.1:1/none") as reads:
        with pytest.raises(psycopg.OperationalError):
            await reads.rows(_MINE, {})
