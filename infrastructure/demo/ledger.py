"""Reads what the event store has ingested and announced, after the stream has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from psycopg import sql

from application.ports import IntakeCounts
from application.topics import BATCH_ASSESSMENT_COMPLETED, BATCH_RESULTS_READY, TEACHER_NOTIFICATION_REQUESTED
from domain.aggregate import DomainEvent
from domain.batch_events import (
    NOTIFIED_EVENTS,
    BatchAssessmentCompleted,
    BatchProgressed,
    BatchResultsReady,
)
from domain.notifications import published_event_id
from infrastructure.demo.player import Coordinates
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.postgres.connections import connect

_INTAKE: Final = """
    SELECT coalesce(sum(taken_in), 0)::bigint, coalesce(sum(recorded), 0)::bigint,
           coalesce(sum(repeated), 0)::bigint, coalesce(sum(dead_lettered), 0)::bigint,
           coalesce(sum(parked), 0)::bigint
    FROM ras.intake_counts
"""
_PUBLISHED: Final = sql.SQL(
    "SELECT originator_id, originator_version, topic, state FROM ras.stored_events WHERE topic IN ({})"
).format(sql.SQL(", ").join(sql.Literal(event.topic) for event in NOTIFIED_EVENTS))

_TOPICS: Final[Mapping[type[DomainEvent], tuple[str, ...]]] = {
    BatchResultsReady: (BATCH_RESULTS_READY, TEACHER_NOTIFICATION_REQUESTED),
    BatchAssessmentCompleted: (BATCH_ASSESSMENT_COMPLETED, TEACHER_NOTIFICATION_REQUESTED),
    BatchProgressed: (TEACHER_NOTIFICATION_REQUESTED,),
}
"""Where each event that is told must be heard."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The store's own counts.

    `due` maps the event id of each message that must have been published to the coordinates of the
    upstream message that caused it.
    """

    intake: IntakeCounts
    events: int
    due: Mapping[UUID, Coordinates]


async def read_ledger(database_url: str) -> Ledger:
    """Read the counts and the published events. Raises psycopg.Error when the database is unavailable."""
    codec = event_codec()
    due: dict[UUID, Coordinates] = {}
    async with await connect(database_url) as connection:
        counts = await (await connection.execute(_INTAKE)).fetchone()
        events = await (await connection.execute("SELECT count(*) FROM ras.stored_events")).fetchone()
        assert counts is not None
        assert events is not None
        async for row in await connection.execute(_PUBLISHED):
            event = codec.to_domain_event(StoredEvent(*row))
            cause = event.causation
            for topic in _TOPICS[type(event)]:
                due[UUID(published_event_id(event, topic))] = (cause.topic, cause.partition, cause.offset)
    return Ledger(IntakeCounts(*counts), int(events[0]), due)
