"""The queries ask the domain's functions about stored facts: they answer what the aggregate knew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.batch import BatchAggregate, batch_stream_id
from domain.values import CLIENT_STATUS, BatchStatus
from infrastructure.queries.batches import PostgresQueries
from infrastructure.queries.read_pool import ReadConnections
from tests.properties.upstream_batches import fickle_batches, truthful_batches
from tests.support.examples import examples
from tests.support.given import Message, Registered, play
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain

_BATCHES_AT_ONCE: Final = 12
_BEFORE_JUDGEMENT: Final = ("student_matching", "nlp")
_WITH_RESULTS: Final = (BatchStatus.COMPLETED_SUCCESSFULLY, BatchStatus.COMPLETED_WITH_FAILURES)


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
async def test_counts_and_judgements_of_stored_facts_are_those_of_the_aggregate(
    database: Database, stories: list[tuple[Message, ...]]
) -> None:
    user_id = next(database.users)
    batches = {
        f"{user_id}-{number}": _told(f"{user_id}-{number}", user_id, story)
        for number, story in enumerate(stories)
    }
    database.chain.project(event for batch in batches.values() for event in batch.collect_events())
    known = {batch_id: batch for batch_id, batch in batches.items() if batch.is_registered}

    page = await _page(database.url, user_id)
    assert page["pagination"]["total"] == len(known)
    assert {body["batch_id"]: _counts(body) for body in page["batches"]} == {
        batch_id: _expected_counts(batch) for batch_id, batch in known.items()
    }
    assert {body["batch_id"]: _judged(body) for body in page["batches"]} == {
        batch_id: _expected_judged(batch) for batch_id, batch in known.items()
    }


def _told(batch_id: str, user_id: str, story: Sequence[Message]) -> BatchAggregate:
    messages = (replace(m, user_id=user_id) if isinstance(m, Registered) else m for m in story)
    return play(messages, BatchAggregate(batch_stream_id(batch_id)))


async def _page(url: str, user_id: str) -> Any:
    reads = ReadConnections(url, size=1)
    try:
        return await PostgresQueries(reads.rows).batches_of(
            user_id, limit=_BATCHES_AT_ONCE, offset=0, statuses=(), after=None
        )
    finally:
        await reads.close()


def _counts(body: Any) -> tuple[Any, ...]:
    counts = ("essay_count", "completed_essay_count", "failed_essay_count")
    status = body["overall_status"]
    return (status if status in _ENDS else None, *(body[name] for name in counts))


_ENDS: Final = {CLIENT_STATUS[status] for status in BatchStatus if status.ends_a_phase}


def _judged(body: Any) -> dict[str, Any]:
    essays = orjson.loads(orjson.dumps(body["essays"]))
    return {essay["essay_id"]: essay["cj_assessment_status"] for essay in essays}


def _expected_counts(batch: BatchAggregate) -> tuple[Any, ...]:
    total, completed, failed = batch.counts
    announced = batch._state.announced
    if announced is not None and announced.status is BatchStatus.FAILED_CRITICALLY:
        failed = total - completed  # after a critical failure nothing is pending any more
    return (None if announced is None else CLIENT_STATUS[announced.status], total, completed, failed)


def _expected_judged(batch: BatchAggregate) -> dict[str, str | None]:
    """Return how judgement ended for each essay: who failed in an earlier phase never got there."""
    state = batch._state
    assert state.registration is not None
    ranked = {line.essay_id for line in state.assessment.rankings} if state.assessment else set()
    failed_before = {
        essay_id
        for phase, conclusion in state.runs.conclusions.items()
        if phase in _BEFORE_JUDGEMENT and conclusion.status in _WITH_RESULTS
        for essay_id in conclusion.failed_essay_ids
    }
    judged: dict[str, str | None] = dict.fromkeys(state.registration.essay_ids)
    for essay_id in judged:
        if essay_id in ranked:
            judged[essay_id] = "completed"
        elif state.assessment and state.essays[essay_id].spellchecked is not False:
            judged[essay_id] = None if essay_id in failed_before else "failed"
    return judged
