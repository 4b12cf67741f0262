"""One stored event whose effects cannot be written: it is named, what follows waits, everything else goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from random import Random

import pytest

from infrastructure.postgres.schema import initialise
from infrastructure.role_status import Condition
from projections.catalogue import PROJECTIONS
from tests.support.commands import ras
from tests.support.following import at_work, crew, until
from tests.support.postgres_probe import opened_store, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.rebuilding import Models

SLOT = "ras.batch.essay-slot-assigned.v1"
ANSWER = "ras.assessment.judge-decision-recorded.v1"
READY = "ras.batch.results-ready.v2"

RANDOM_TEXT = Random(7).randbytes(6000).hex()
"""Longer than an index entry, and not made shorter by compression."""

TOO_LARGE_FOR_A_COLUMN = {
    "ras.batch.essay-spellchecked.v1": ("corrections_made", 9_999_999_999, "batch_results"),
    READY: ("revision", 9_999_999_999, "batch_results"),
    SLOT: ("essay_id", RANDOM_TEXT, "batch_results"),
    "ras.batch.registered.v1": ("user_id", "nul \0", "batch_results"),
    ANSWER: ("response_time_ms", 99_999_999_999_999_999_999, "assessments"),
    "ras.assessment.result-recorded.v1": ("metadata", {"nul": "\0"}, "assessments"),
}
"""Topic: a field, a value that its column or its index cannot hold, and the read model that has it."""


@pytest.fixture
def models(postgres_server: PostgresServerUnderTest) -> Iterator[Models]:
    """Read models that nobody has filled yet, and a log."""
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(postgres_server.url))
        initialise(url)
        database = stack.enter_context(probe(url))
        models = Models(url, stack.enter_context(opened_store(url)), database)
        models.record_everything()
        models.record()
        yield models


def alter(models: Models, topic: str, field: str, value: object) -> tuple[str, int, int]:
    """Give one field of the last event of a topic another value; return its stream, version and place."""
    [[place, stream_id, version, state]] = models.database.rows(
        "SELECT notification_id, originator_id, originator_version, state FROM ras.stored_events"
        " WHERE topic = %s ORDER BY notification_id DESC LIMIT 1",
        topic,
    )
    altered = json.dumps(json.loads(state) | {field: value}).encode()
    models.database.execute(
        "UPDATE ras.stored_events SET state = %s WHERE notification_id = %s", altered, place
    )
    return str(stream_id), int(version), int(place)


@pytest.mark.parametrize("topic", TOO_LARGE_FOR_A_COLUMN)
async def test_the_projection_waits_at_it_and_names_it_and_the_others_go_on(
    models: Models, topic: str
) -> None:
    field, value, name = TOO_LARGE_FOR_A_COLUMN[topic]
    stream_id, version, place = alter(models, topic, field, value)
    sentence = f"Event {version} of stream {stream_id} (topic '{topic}') cannot be written by {name}: "

    async with crew(models.url) as members:
        followers = {p.name: members.follower(p) for p in PROJECTIONS}
        async with at_work(members, *followers.values()):
            await until(
                lambda: followers[name].status.reason.startswith(sentence),
                what="the projection waits at the event and names it",
                state=lambda: followers[name].status.reason,
            )
            assert followers[name].status.condition is Condition.DEGRADED
            await until(
                lambda: models.lagging().keys() == {name},
                what="the others are at the end of the log",
                state=models.lagging,
            )
            assert models.lagging()[name] < place
            written = models.database.value(
                "SELECT count(*) FROM ras.stored_events WHERE notification_id > %s"
                " AND notification_id < %s AND topic = ANY(%s)",
                models.lagging()[name],
                place,
                [t for p in PROJECTIONS if p.name == name for t in p.topics],
            )
            assert written == 0, "everything before it is written"


@pytest.mark.parametrize("topic", TOO_LARGE_FOR_A_COLUMN)
def test_a_rebuild_ends_with_the_sentence(models: Models, topic: str) -> None:
    field, value, name = TOO_LARGE_FOR_A_COLUMN[topic]
    stream_id, version, _ = alter(models, topic, field, value)

    ran = ras("rebuild", database_url=models.url)

    assert (ran.exit_code, ran.output) == (1, "")
    assert (
        f"Event {version} of stream {stream_id} (topic '{topic}') cannot be written by {name}: " in ran.errors
    )
    assert "Nothing was switched" in ran.errors
    assert len(ran.errors.splitlines()) == 1


@pytest.mark.parametrize(
    "time",
    [
        "2026-01-01T00:00:00+16:00",
        "2026-01-01T00:00:00-23:59",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
    ],
)
@pytest.mark.parametrize(
    ("topic", "field"), [(SLOT, "happened_at"), (ANSWER, "requested_at"), (READY, "happened_at")]
)
def test_an_event_with_a_time_that_postgresql_refuses_is_projected_and_rebuilt(
    models: Models, topic: str, field: str, time: str
) -> None:
    alter(models, topic, field, time)

    models.follow()
    ran = ras("rebuild", database_url=models.url)

    assert ran.exit_code == 0, ran.errors
