"""A database that is restored under a living ingester: what it remembers leaves no gap in any stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from application.deciding import Intake
from application.ports import StalePositionError
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate
from infrastructure.eventstore.store import EventStore
from tests.support.backups import bring_back, save
from tests.support.ingesting import Ingestion, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import PostgresProbe


@pytest.fixture
def intakes() -> list[Intake]:
    """The messages of one batch, which lie in several partitions."""
    return intakes_of(messages_of(small_batch(essays=6, assessed=False)))


def by_partition(intakes: list[Intake]) -> list[list[Intake]]:
    """Return the messages of each partition, the most first."""
    parts: dict[tuple[str, int], list[Intake]] = {}
    for intake in intakes:
        parts.setdefault((intake.message.topic, intake.message.partition), []).append(intake)
    return sorted(parts.values(), key=len, reverse=True)


def recorded(database: PostgresProbe, store: EventStore) -> list[DomainEvent]:
    """Return what the one stream holds."""
    [(stream_id,)] = database.rows("SELECT DISTINCT originator_id FROM ras.stored_events")
    with store.transaction() as transaction:
        events = transaction.load({stream_id: 0}, most=1000)[stream_id]
    assert isinstance(events, list)
    return events


def test_a_partition_that_did_not_move_since_the_backup_does_not_hide_a_restore(
    store: EventStore, store_url: str, database: PostgresProbe, tmp_path: Path, intakes: list[Intake]
) -> None:
    quiet, *others = by_partition(intakes)
    ingestion = Ingestion(store)
    ingestion.seek(intakes)
    ingestion.take_in(quiet[:1])
    save(store_url, tmp_path / "backup.sql")
    ingestion.take_in([intake for part in others for intake in part])
    bring_back(store_url, tmp_path / "backup.sql")
    [before] = recorded(database, store)

    # The position in this partition is the same before and after: it alone tells nothing.
    with pytest.raises(StalePositionError, match=r"ingester/.* is at 1, not 2"):
        ingestion.take_in(quiet[1:])
    assert recorded(database, store) == [before]

    ingestion.seek(intakes)
    ingestion.take_in(intakes)
    events = recorded(database, store)
    assert [event.originator_version for event in events] == list(range(1, len(events) + 1))
    batch = BatchAggregate.replay(before.originator_id, events)
    assert batch.counts == (6, 6, 0)


def test_an_ingester_that_the_backup_does_not_know_notices_it_too(
    store: EventStore, store_url: str, database: PostgresProbe, tmp_path: Path, intakes: list[Intake]
) -> None:
    quiet, *others = by_partition(intakes)
    ingestion = Ingestion(store)
    ingestion.seek(intakes)
    save(store_url, tmp_path / "backup.sql")
    ingestion.take_in([intake for part in others for intake in part])
    bring_back(store_url, tmp_path / "backup.sql")

    with pytest.raises(StalePositionError, match="ingester/"):
        ingestion.take_in(quiet)
    ingestion.seek(intakes)
    ingestion.take_in(intakes)
    assert recorded(database, store)[-1].originator_version == len(database.log())
