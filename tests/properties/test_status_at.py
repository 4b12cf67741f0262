"""How a batch stands by its events is how it stands by its read model; earlier times are earlier answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

import orjson
import pytest
from hypothesis import given, settings

from application.batch_at import BatchAt
from application.batch_status import batch_status
from application.history import RecordedEvent
from application.json_text import json_bytes
from application.time_travel import By, up_to
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate, batch_stream_id
from domain.times import utc_text
from domain.values import BatchStatus
from infrastructure.queries.batches import PostgresQueries
from infrastructure.queries.read_pool import ReadConnections
from tests.properties.upstream_batches import fickle_batches
from tests.support.examples import examples
from tests.support.given import Message, caused_by, minute
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain


@dataclass(frozen=True)
class Database:
    """Read models for many examples, each with a batch of its own."""

    url: str
    chain: Chain
    names: Iterator[str]


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServerUnderTest) -> Iterator[Database]:
    """An initialised database."""
    with fresh_database(postgres_server.url) as url:
        yield Database(url, Chain(url), map("batch-{:04d}".format, count(1)))


@settings(max_examples=examples(60))
@given(fickle_batches())
async def test_the_fold_of_all_events_answers_as_the_read_model(
    database: Database, story: tuple[Message, ...]
) -> None:
    batch_id = next(database.names)
    events = _recorded(batch_id, story)
    database.chain.project(events)
    expected = await _status(database.url, batch_id)

    for by in By:
        assert _body(events, by=by) == expected


@settings(max_examples=examples(150))
@given(fickle_batches())
def test_as_recorded_a_time_shows_what_was_known_then(story: tuple[Message, ...]) -> None:
    """Each message was received a minute after the one before: the answer then is that of those alone."""
    events = _recorded("b1", story)
    for number in range(len(story)):
        known = [e for e in events if e.causation.received_at <= minute(number)]
        assert _body(events, at=number) == _body(known)


@settings(max_examples=examples(150))
@given(fickle_batches())
def test_as_happened_no_later_fact_shows(story: tuple[Message, ...]) -> None:
    events = _recorded("b1", story)
    for number in range(len(story)):
        body = _body(events, at=number, by=By.HAPPENED)
        if body is not None:
            times = (body["last_updated"], body["processing_started_at"], body["processing_completed_at"])
            latest = utc_text(minute(number))
            assert [time for time in times if time is not None and time > latest] == []
            if body["processing_completed_at"] is not None:
                assert body["overall_status"] in _ENDS


_ENDS: Final = {"completed_successfully", "completed_with_failures", "failed", "cancelled"}


def test_all_ends_of_a_batch_are_known_here() -> None:
    assert len(_ENDS) == sum(status.ends_a_phase for status in BatchStatus)


def _recorded(batch_id: str, story: Sequence[Message]) -> list[DomainEvent]:
    batch = BatchAggregate(batch_stream_id(batch_id))
    for number, message in enumerate(story):
        message.tell(batch, replace(caused_by(number), received_at=minute(number)))
    return batch.collect_events()


def _body(events: Iterable[DomainEvent], *, at: int = 10_000, by: By = By.RECORDED) -> Any:
    counting = up_to((RecordedEvent(0, event) for event in events), minute(at), by)
    row = BatchAt(recorded.event for recorded in counting).row(announced_only=by is By.RECORDED)
    return None if row is None else _as_sent(row)


async def _status(url: str, batch_id: str) -> Any:
    reads = ReadConnections(url, size=1)
    try:
        answer = await PostgresQueries(reads.rows).status(batch_id)
    finally:
        await reads.close()
    return None if answer is None else orjson.loads(json_bytes(answer.body))


def _as_sent(row: Any) -> Any:
    return orjson.loads(json_bytes(batch_status(row, row["essays"])))
