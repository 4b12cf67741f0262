"""The SQL behind the queries restates the completion rules; here the aggregate holds it to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from application.queries import CLIENT_STATUS
from domain.batch import BatchAggregate, batch_stream_id
from domain.values import BatchStatus
from infrastructure.queries import batches as views
from infrastructure.queries.batches import PostgresQueries
from infrastructure.queries.read_pool import ReadConnections
from tests.properties.upstream_batches import fickle_batches, truthful_batches
from tests.support.examples import examples
from tests.support.given import Message, Registered, play
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain, connected

_BATCHES_AT_ONCE: Final = 12
_STANDINGS: Final = text(f"""
    SELECT b.batch_id, e.essay_id, e.standing, e.cj_status FROM (
        SELECT b.*, q.*, o.* FROM ras_batch_results.batches b {views._REQUIRED} WHERE b.user_id = :user_id
    ) b CROSS JOIN LATERAL ({views._ESSAYS}) e
""")
_BEFORE_JUDGEMENT: Final = ("student_matching", "nlp")


@dataclass(frozen=True)
class Database:
    """Read models for many examples; each has a user of its own, so none sees another's batches."""

    url: str
    chain: Chain
    users: Iterator[str]


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServerUnderTest) -> Iterator[Database]:
    """An initialised database."""
    with fresh_database(postgres_server.url) as url:
        yield Database(url, Chain(url), map("teacher-{:04d}".format, count(1)))


@settings(max_examples=examples(40))
@given(
    st.lists(fickle_batches() | truthful_batches().map(lambda batch: batch.messages), min_size=1, max_size=12)
)
def test_counts_and_standings_in_sql_are_those_of_the_aggregate(
    database: Database, stories: list[tuple[Message, ...]]
) -> None:
    user_id = next(database.users)
    batches = {
        f"{user_id}-{number}": _told(f"{user_id}-{number}", user_id, story)
        for number, story in enumerate(stories)
    }
    database.chain.project(event for batch in batches.values() for event in batch.collect_events())
    known = {batch_id: batch for batch_id, batch in batches.items() if batch.is_registered}

    page = asyncio.run(_page(database.url, user_id))
    assert page["pagination"]["total"] == len(known)
    assert {body["batch_id"]: _counts(body) for body in page["batches"]} == {
        batch_id: _expected_counts(batch) for batch_id, batch in known.items()
    }
    with connected(database.url) as connection:
        rows = connection.execute(_STANDINGS, {"user_id": user_id}).all()
    assert {(batch_id, essay_id): tuple(stands) for batch_id, essay_id, *stands in rows} == {
        (batch_id, essay_id): stands
        for batch_id, batch in known.items()
        for essay_id, stands in _expected_standings(batch).items()
    }


def _told(batch_id: str, user_id: str, story: Sequence[Message]) -> BatchAggregate:
    messages = (replace(m, user_id=user_id) if isinstance(m, Registered) else m for m in story)
    return play(messages, BatchAggregate(batch_stream_id(batch_id)))


async def _page(url: str, user_id: str) -> Any:
    reads = ReadConnections(url, size=1)
    try:
        return await PostgresQueries(reads.rows).batches_of(
            user_id, limit=_BATCHES_AT_ONCE, offset=0, status=None
        )
    finally:
        await reads.close()


def _counts(body: Any) -> tuple[Any, ...]:
    counts = ("essay_count", "completed_essay_count", "failed_essay_count")
    status = body["overall_status"]
    return (status if status in _ENDS else None, *(body[name] for name in counts))


_ENDS: Final = {CLIENT_STATUS[status] for status in BatchStatus if status.ends_a_phase}


def _expected_counts(batch: BatchAggregate) -> tuple[Any, ...]:
    total, completed, failed = batch.counts
    status = batch._state.announced_status
    if status is BatchStatus.FAILED_CRITICALLY:
        failed = total - completed  # after a critical failure nothing is pending any more
    return (None if status is None else CLIENT_STATUS[status], total, completed, failed)


def _expected_standings(batch: BatchAggregate) -> dict[str, tuple[str, str | None]]:
    state = batch._state
    assert state.registration is not None
    ranked = {line.essay_id for line in state.assessment.rankings} if state.assessment else set()
    never_judged = {
        essay_id
        for phase in _BEFORE_JUDGEMENT
        if phase in state.conclusions
        for essay_id in state.conclusions[phase].failed_essay_ids
    }
    stands: dict[str, tuple[str, str | None]] = {}
    for essay_id in state.registration.essay_ids:
        spellchecked = state.essays[essay_id].spellchecked
        judged: str | None = None
        if essay_id in ranked:
            judged = "completed"
        elif state.assessment is not None and spellchecked is not False and essay_id not in never_judged:
            judged = "failed"
        standing = state.requirements.standing(essay_id, spellchecked=spellchecked)
        stands[essay_id] = (standing.state.value, judged)
    return stands
