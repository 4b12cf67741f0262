"""Marks of positions: which event stands there, as it was ingested."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from eventsourcing.persistence import StoredEvent

from infrastructure.eventstore.event_registry import EVENT_CLASSES, event_codec
from infrastructure.eventstore.publisher_position import PositionCopy
from infrastructure.postgres.schema import initialise
from tests.golden.expected_events import EXPECTED
from tests.support.postgres_probe import PostgresProbe, probe


def stored(topic: str, *, version: int) -> StoredEvent:
    return event_codec().to_stored_event(replace(EXPECTED[topic], originator_version=version))


async def marks(database_url: str, *positions: int) -> list[str | None]:
    copy = PositionCopy(database_url, "publisher")
    try:
        return await copy.marks(*positions)
    finally:
        await copy.close()


@pytest.fixture
def store(database_url: str) -> Iterator[PostgresProbe]:
    initialise(database_url)
    with probe(database_url) as looking:
        for version, event_class in enumerate(EVENT_CLASSES, start=1):
            looking.put(stored(event_class.topic, version=version))
        yield looking


async def test_every_kind_of_event_is_marked_with_its_time_of_receipt(
    database_url: str, store: PostgresProbe
) -> None:
    found = await marks(database_url, *range(1, len(EVENT_CLASSES) + 1))

    for mark, version, event_class in zip(found, range(1, 100), EVENT_CLASSES, strict=False):
        event = EXPECTED[event_class.topic]
        received_at = json.loads(event_codec().to_stored_event(event).state)["causation"]["received_at"]
        assert mark == f"{event.originator_id}/{version}/{received_at}"


async def test_a_position_between_events_has_the_mark_of_the_one_before(
    database_url: str, store: PostgresProbe
) -> None:
    store.execute("DELETE FROM ras.stored_events WHERE notification_id = 2")

    first, gap, beyond, last = await marks(database_url, 1, 2, 10_000, len(EVENT_CLASSES))

    assert first == gap is not None
    assert beyond == last
    assert await marks(database_url, 0) == [None]


async def test_a_state_of_megabytes_is_marked_by_its_beginning(
    database_url: str, store: PostgresProbe
) -> None:
    large = stored("ras.batch.assessment-completed.v1", version=99)
    text = large.state[:-1] + b',"more":"' + "ä".encode() * 3_000_000 + b'"}'
    store.put(replace(large, state=text))

    [mark] = await marks(database_url, 10_000)

    assert mark is not None
    assert mark.startswith(f"{large.originator_id}/99/2026-")
