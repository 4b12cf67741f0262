"""The outbox as operators know it: what is recorded and not yet published, and what was published lately.

There is no outbox table. What is to be published are the published events of the event store; where the
publisher is, its position tells (the copy in PostgreSQL, behind by one transaction at most). When something was
published, Kafka tells: the time of the record.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka.errors import KafkaError

from application.envelopes import OUTBOX_EVENTS, OutgoingMessage, outgoing_messages
from application.topics import OUTPUT_TOPICS
from infrastructure.eventstore.catalogue import event_codec
from infrastructure.followers.log import NotificationLog
from infrastructure.kafka.committed import committed_records, event_id_of
from infrastructure.kafka.position_copy import PositionCopy
from infrastructure.kafka.position_topic import read_position, restored
from infrastructure.postgres.datastore import connect
from infrastructure.servers import Servers
from projections.recorded import Recorded

_KAFKA_TIMEOUT_S: Final = 5.0
_OFFSETS_A_RECORD: Final = 3
"""How far back to look for the times of the last records: markers of transactions take up offsets too."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record that was sent or is to be sent. `position` is the notification id of its event."""

    position: int
    aggregate: str
    version: int
    event_type: str
    topic: str
    key: str
    event_id: str
    recorded_at: str
    published_at: str | None


@dataclass(frozen=True, slots=True)
class Outbox:
    """`position` is the notification id published last; the counts are of events, the lists of records."""

    position: int
    pending_events: int
    pending: list[Entry]
    published: list[Entry]
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


async def read_outbox(servers: Servers, transactional_id: str, *, limit: int) -> Outbox:
    """Return at most `limit` events of each kind, the next to be published first, the last published first.

    Raises psycopg.OperationalError when the database is away; without Kafka the times are missing.
    """
    topics = [event.topic for event in OUTBOX_EVENTS]
    copy = PositionCopy(servers.database_url, transactional_id)
    log = NotificationLog(servers.database_url, event_codec(), topics)
    try:
        position = await copy.read()
        pending = (await log.read(position, limit)).events
        count = await log.count_after(position) if pending else 0
        published = await _published(servers.database_url, log, position, limit)
        complaints = await _complaints(servers.bootstrap_servers, transactional_id, copy, log)
    finally:
        await copy.close()
        await log.close()
    times, faults = await _times(servers.bootstrap_servers, limit) if published else ({}, [])
    return Outbox(
        position,
        count,
        [
            _entry(recorded, message, {})
            for recorded in pending
            for message in outgoing_messages(recorded.event)
        ],
        [
            _entry(recorded, message, times)
            for recorded in published
            for message in outgoing_messages(recorded.event)
        ],
        complaints + faults,
    )


async def _complaints(
    bootstrap_servers: str, transactional_id: str, copy: PositionCopy, log: NotificationLog
) -> list[str]:
    """Return why the position is not to be trusted: the store may be an earlier one than was published from."""
    if not bootstrap_servers:
        return []
    try:
        async with asyncio.timeout(_KAFKA_TIMEOUT_S):
            found = await read_position(bootstrap_servers, transactional_id)
    except (KafkaError, TimeoutError, OSError) as error:
        return [f"Kafka does not answer, so whether the position is right is not known: {error!r}"]
    complaint = await restored(found, copy, await log.head())
    return [] if complaint is None else [complaint]


async def _published(database_url: str, log: NotificationLog, position: int, limit: int) -> list[Recorded]:
    """Return the events published last, the newest first."""
    topics = list(event_codec().stored_under([event.topic for event in OUTBOX_EVENTS]))
    async with await connect(database_url) as connection:
        cursor = await connection.execute(
            "SELECT min(notification_id) FROM (SELECT notification_id FROM ras.stored_events"
            " WHERE notification_id <= %s AND topic = ANY(%s) ORDER BY notification_id DESC LIMIT %s) AS last",
            (position, topics, limit),
        )
        row = await cursor.fetchone()
    if row is None or row[0] is None:
        return []
    events = (await log.read(int(row[0]) - 1, limit)).events
    return [recorded for recorded in reversed(events) if recorded.notification_id <= position]


async def _times(bootstrap_servers: str, limit: int) -> tuple[dict[tuple[str, str], datetime], list[str]]:
    """Return when the last records were sent, by topic and event id, and what kept us from knowing."""
    if not bootstrap_servers:
        return {}, ["RAS_KAFKA_BOOTSTRAP_SERVERS is not set: when records were published is not known."]
    times: dict[tuple[str, str], datetime] = {}
    try:
        async with (
            asyncio.timeout(_KAFKA_TIMEOUT_S),
            committed_records(bootstrap_servers, OUTPUT_TOPICS) as there,
        ):
            starts = {key: end - _OFFSETS_A_RECORD * limit for key, end in there.ends.items()}
            async for record in there.read(starts):
                event_id = event_id_of(record)
                if event_id is not None:
                    times[record.topic, event_id] = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (KafkaError, TimeoutError, OSError) as error:
        return times, [f"Kafka does not answer, so not all times of publishing are known: {error!r}"]
    return times, []


def _entry(recorded: Recorded, message: OutgoingMessage, times: dict[tuple[str, str], datetime]) -> Entry:
    event = recorded.event
    event_id = dict(message.headers)["event_id"].decode()
    published_at = times.get((message.topic, event_id))
    return Entry(
        recorded.notification_id,
        event.originator_id,
        event.originator_version,
        event.topic,
        message.topic,
        message.key.decode(),
        event_id,
        event.causation.received_at.astimezone(UTC).isoformat(),
        None if published_at is None else published_at.isoformat(),
    )
