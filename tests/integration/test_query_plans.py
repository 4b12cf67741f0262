"""No query compares each essay of a large batch with each: what it reads grows with the batch, not with its square.

PostgreSQL plans by averages. Where nearly all batches are small it expects few rows of each, and then a loop within a
loop seems cheap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from infrastructure.postgres.schema import initialise
from infrastructure.queries.batches import PostgresQueries
from infrastructure.queries.pages import BatchFilter, PageQueries
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

_ESSAYS = 400
_SMALL_BATCHES = 500
_FILL = (
    """INSERT INTO ras_batch_results.batches (batch_id, user_id, position, last_updated, registered_at, status)
    SELECT b, 'teacher-of-' || b, 1, now(), now(), 'completed_successfully' FROM unnest(%(batches)s::text[]) b""",
    """INSERT INTO ras_batch_results.essays (batch_id, essay_id, ordinal, last_updated, spellcheck_status)
    SELECT b, b || '-essay-' || n, n, now(), 'completed'
    FROM unnest(%(batches)s::text[]) b, generate_series(1, %(essays)s) n""",
    """INSERT INTO ras_batch_results.rankings (batch_id, essay_id, job_id, rank, bt_score, normalized_score,
        letter_grade, confidence_score, confidence_label, assessed_at)
    SELECT b, b || '-essay-' || n, 'job', n, 0.5, 0.5, 'C', 0.5, 'MID', now()
    FROM unnest(%(batches)s::text[]) b, generate_series(1, %(essays)s) n""",
    """INSERT INTO ras_language_analyses.analyses (essay_id, text_storage_id, analysed_at, metrics, grammar,
        spelling_errors, errors, position)
    SELECT b || '-essay-' || n, 'text', now(), '{"word_count": 300}', '{"error_count": 4, "language": "sv",
        "processing_time_ms": 1, "grammar_category_counts": {}, "grammar_rule_counts": {}}', '[]', '[]', 1
    FROM unnest(%(batches)s::text[]) b, generate_series(1, %(essays)s) n""",
)

Reading = Callable[[PostgresQueries, PageQueries], Awaitable[Any]]


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """The read models of many small batches, which the statistics know, and of a large one that came after."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        with psycopg.connect(url, autocommit=True) as connection:
            small = [f"batch-{n}" for n in range(_SMALL_BATCHES)]
            for statement in _FILL:
                connection.execute(statement, {"batches": small, "essays": 1})
            connection.execute("ANALYZE")
            for statement in _FILL:
                connection.execute(statement, {"batches": ["large"], "essays": _ESSAYS})
        yield url


@pytest.mark.parametrize(
    "reading",
    [
        pytest.param(lambda api, _: api.status("large"), id="status"),
        pytest.param(lambda api, _: api.outlines(["large"]), id="outlines"),
        pytest.param(lambda api, _: api.progress(["large"]), id="progress"),
        pytest.param(
            lambda api, _: api.batches_of("teacher-of-large", limit=20, offset=0, statuses=[], after=None),
            id="list",
        ),
        pytest.param(lambda api, _: api.essay_analysis("large-essay-7"), id="essay"),
        pytest.param(lambda _, pages: pages.rankings("large"), id="rankings"),
        pytest.param(
            lambda _, pages: pages.language_figures("large", [f"large-essay-{n}" for n in range(50)]),
            id="language",
        ),
        pytest.param(lambda _, pages: pages.batches("teacher-of-large", BatchFilter(), offset=0), id="page"),
    ],
)
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_no_essay_is_compared_with_every_other(filled: str, mode: str, reading: Reading) -> None:
    compared: list[int] = []
    async with await psycopg.AsyncConnection.connect(filled, autocommit=True) as connection:
        await connection.execute(f"SET plan_cache_mode = {mode}".encode())

        async def ask(query: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(
                    f"EXPLAIN (ANALYZE, FORMAT JSON) {query}".encode(), parameters, prepare=True
                )
                [explained] = await cursor.fetchall()
                compared.append(_removed_by_joins(explained["QUERY PLAN"][0]["Plan"]))
                await cursor.execute(query.encode(), parameters)
                return await cursor.fetchall()

        found = await asyncio.wait_for(reading(PostgresQueries(ask), PageQueries(ask)), 60)

    assert found
    assert max(compared) <= _ESSAYS


def _removed_by_joins(plan: Mapping[str, Any]) -> int:
    """Return how many pairs of rows a plan's joins compared in vain."""
    own = plan.get("Rows Removed by Join Filter", 0) * plan.get("Actual Loops", 1)
    return int(own) + sum(map(_removed_by_joins, plan.get("Plans", [])))
