"""A database that release 0.1.0 filled: it is upgraded, replayed and rebuilt, and announces nothing by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from application.envelopes import OUTBOX_EVENTS
from application.topics import ASSESSMENT_RESULT, INPUT_TOPICS
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate, batch_stream_id
from domain.batch_events import (
    PUBLISHED_EVENTS,
    BatchAssessmentCompleted,
    BatchProgressed,
    BatchResultsReady,
    PhaseConcluded,
)
from infrastructure.check.check import check
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.postgres import schema, schema_version
from infrastructure.postgres.schema_version import SchemaVersionError
from infrastructure.settings import Servers
from projections.catalogue import PROJECTIONS
from tests.support import backups
from tests.support.ingesting import Ingestion, intake_of
from tests.support.postgres_probe import opened_store, probe
from tests.support.rebuilding import Models
from tests.support.upstream import StreamLine, expectations, scenario

DUMP: Final = Path(__file__).parents[1] / "stores" / "release-0.1.0.sql"
SCENARIO: Final = "two-pipelines"
INGESTED_LINES: Final = 75
LINES: Final = [
    line
    for line in scenario(SCENARIO)
    if line.message.topic in INPUT_TOPICS and ".nlp." not in line.message.topic
]
"""What release 0.1.0 reads too; language analyses it does not know."""

EXPECTED: Final = {each["label"]: id_ for id_, each in expectations(SCENARIO)["batches"].items()}


@pytest.fixture
def migrated(database_url: str) -> Iterator[Models]:
    """The store of release 0.1.0 after `ras init --upgrade`."""
    backups.bring_back(database_url, DUMP)
    with pytest.raises(SchemaVersionError, match="ras init --upgrade"):
        schema_version.check(database_url)
    schema.initialise(database_url)
    with opened_store(database_url) as store, probe(database_url) as database:
        yield Models(database_url, store, database)


@pytest.fixture
def rebuilt(database_url: str, migrated: Models) -> Models:
    """The same after `ras rebuild`, with the read models at the end of the log."""
    to_rebuild = schema.initialise(database_url)
    migrated.rebuilding().rebuild([p for p in PROJECTIONS if p.name in to_rebuild])
    migrated.follow()
    return migrated


def events(models: Models) -> list[DomainEvent]:
    """Return everything that is recorded, in order."""
    codec = event_codec()
    return [codec.to_domain_event(event) for event in models.database.stored()]


def tell(models: Models, lines: Sequence[StreamLine]) -> list[DomainEvent]:
    """Ingest messages at new places and return what they made RAS record."""
    before = len(models.database.stored())
    base = 1000 + before
    intakes = [
        intake_of(replace(line.message, partition=7, offset=base + number))
        for number, line in enumerate(lines)
    ]
    Ingestion(models.store).insist(intakes)
    return events(models)[before:]


def resent(line: StreamLine) -> StreamLine:
    """Return a message as upstream's relay sends it again: under a new event id, an hour later."""
    envelope = json.loads(line.message.value or b"")
    at = datetime.fromisoformat(envelope["event_timestamp"]) + timedelta(hours=1)
    envelope |= {"event_id": str(uuid4()), "event_timestamp": at.isoformat()}
    return replace(line, message=replace(line.message, value=json.dumps(envelope).encode()))


def again_judged(line: StreamLine) -> StreamLine:
    """Return an assessment as another job's, a day later."""
    envelope = json.loads(line.message.value or b"")
    at = datetime.fromisoformat(envelope["data"]["assessed_at"]) + timedelta(days=1)
    envelope["data"] |= {"cj_assessment_job_id": "9001", "assessed_at": at.isoformat()}
    return replace(line, message=replace(line.message, value=json.dumps(envelope).encode()))


async def test_the_upgrade_and_the_rebuild_announce_nothing_and_change_no_stored_event(
    database_url: str, rebuilt: Models
) -> None:
    stored = rebuilt.database.stored()
    text = DUMP.read_text(encoding="utf-8")

    assert len(stored) == rebuilt.head == 76
    assert all(event.topic + "\t" in text for event in stored)
    assert not [event for event in events(rebuilt) if isinstance(event, BatchProgressed)]
    assert {event.topic for event in stored} & {event.topic for event in OUTBOX_EVENTS} <= {
        "ras.dead-letter.message-dead-lettered.v1"
    }, "announcements are those of version 1, as release 0.1.0 recorded them"
    report = await check(
        Servers(database_url, ""), "ras-publisher", incremental=False, progress=lambda *_: None
    )
    assert report.consistent, report


@pytest.mark.parametrize("label", ["T1", "T2", "T3", "T4"])
def test_replayed_batches_know_what_was_announced(migrated: Models, label: str) -> None:
    own = [e for e in events(migrated) if e.originator_id == batch_stream_id(EXPECTED[label])]
    last = [event for event in own if isinstance(event, BatchResultsReady)][-1]

    batch = BatchAggregate.replay(batch_stream_id(EXPECTED[label]), own)

    assert batch.overall_status == last.overall_status
    assert batch.progress.revision == last.revision
    assert batch.collect_events() == []


def test_a_new_fact_is_announced_with_the_next_revision_and_told_once(migrated: Models) -> None:
    label = "T1"
    line = [
        line
        for line in LINES
        if line.number <= INGESTED_LINES
        and line.message.topic == ASSESSMENT_RESULT
        and EXPECTED[label].encode() in (line.message.value or b"")
    ][-1]
    known = [e for e in events(migrated) if isinstance(e, BatchResultsReady)]
    last = [e for e in known if e.originator_id == batch_stream_id(EXPECTED[label])][-1]

    recorded = tell(migrated, [again_judged(line)])

    told = [event for event in recorded if isinstance(event, (*PUBLISHED_EVENTS, BatchProgressed))]
    assert [type(event) for event in told] == [BatchAssessmentCompleted, BatchResultsReady, BatchProgressed]
    assert [getattr(event, "revision", None) for event in told] == [
        None,
        last.revision + 1,
        last.revision + 1,
    ]


def test_messages_that_come_again_announce_only_what_the_early_release_never_recorded(
    migrated: Models,
) -> None:
    # Release 0.1.0 dropped the phase outcome of T3's second judging, which says the same as that of the first, and
    # did not announce that judging. The outcome is a new fact when it comes again, and the judging is announced.
    again = [resent(line) for line in LINES if line.number <= INGESTED_LINES]
    known = events(migrated)
    judging = [e for e in known if isinstance(e, BatchAssessmentCompleted)]
    second = [e for e in judging if e.originator_id == batch_stream_id(EXPECTED["T3"])][-1]

    recorded = tell(migrated, again)

    assert [type(event) for event in recorded] == [PhaseConcluded, BatchResultsReady, BatchProgressed]
    assert {event.originator_id for event in recorded} == {second.originator_id}
    concluded, announced, _ = recorded
    assert isinstance(concluded, PhaseConcluded)
    assert concluded.causation.correlation_id == second.causation.correlation_id
    assert isinstance(announced, BatchResultsReady)
    assert (announced.revision, announced.job_id) == (2, second.job_id)
    assert tell(migrated, [resent(line) for line in again]) == []
