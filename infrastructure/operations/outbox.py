"""The outbox for operators: what is recorded and not yet published, and what was published lately.

There is no outbox table. What is to be published are the published events of the event store; where the
publisher is, its position tells (the copy in PostgreSQL, behind by one transaction at most). When something was
published, Kafka tells: the time of the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from aiokafka.errors import KafkaError
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from application.envelopes import OUTBOX_EVENTS, OutgoingMessage, outgoing_messages
from application.responses.kinds import Count, UtcText, UuidText
from application.topics import OUTPUT_TOPICS
from domain.times import utc_text
from infrastructure.eventstore.codec import StoredRow, UndecodableEventError
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.log_slices import as_stored_row
from infrastructure.eventstore.publisher_position import PositionCopy
from infrastructure.kafka import faults
from infrastructure.kafka.committed_records import committed_records, event_id_of, is_ours
from infrastructure.kafka.record_times import record_time
from infrastructure.postgres.connections import connect
from infrastructure.publishing.position_topic import read_position, restored
from infrastructure.settings import Servers
from projections.recorded import Recorded

_Connection = AsyncConnection[TupleRow]
_Place = tuple[int, int]

_BYTES_AT_A_TIME: Final = 8_000_000
_NEXT: Final = """
    SELECT notification_id, octet_length(state) FROM ras.stored_events
    WHERE notification_id > %(position)s AND topic = ANY(%(topics)s) ORDER BY notification_id LIMIT %(limit)s
"""
_LAST: Final = """
    SELECT notification_id, octet_length(state) FROM ras.stored_events
    WHERE notification_id <= %(position)s AND topic = ANY(%(topics)s) ORDER BY notification_id DESC LIMIT %(limit)s
"""
_COUNT: Final = """
    SELECT count(*) FROM (SELECT FROM ras.stored_events
        WHERE notification_id > %(position)s AND topic = ANY(%(topics)s) LIMIT 100000) AS behind
"""
_EVENTS: Final = """
    SELECT notification_id, originator_id, originator_version, topic, state FROM ras.stored_events
    WHERE notification_id = ANY(%(ids)s)
"""

_KAFKA_TIMEOUT_S: Final = 5.0
_OFFSETS_A_RECORD: Final = 3
"""How far back to look for the times of the last records: markers of transactions take up offsets too."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One record that was sent or is to be sent. `position` is the notification id of its event."""

    position: Count
    aggregate: str
    version: Count
    event_type: str
    topic: str
    key: str
    event_id: UuidText
    recorded_at: UtcText
    published_at: UtcText | None


@dataclass(frozen=True, slots=True)
class Outbox:
    """`position` is the notification id published last; the counts are of events, the lists of records."""

    position: Count
    pending_events: Count
    pending: list[OutboxEntry]
    published: list[OutboxEntry]
    notes: list[str]


async def read_outbox(servers: Servers, transactional_id: str, *, limit: int) -> Outbox:
    """Return at most `limit` events of each kind, the next to be published first, the last published first.

    Raises psycopg.OperationalError when the database is unavailable; without Kafka the times are missing.
    """
    copy = PositionCopy(servers.database_url, transactional_id)
    log = NotificationLog(servers.database_url, event_codec(), [event.topic for event in OUTBOX_EVENTS])
    try:
        position = await copy.read()
        notes = await _complaints(servers.bootstrap_servers, transactional_id, copy, log)
        if parked := await copy.parked():
            notes.append(
                f"{len(parked)} messages before the position are parked: `ras parked list` names them."
            )
    finally:
        await copy.close()
        await log.close()
    async with await connect(servers.database_url) as connection:
        next_ones = await _places(connection, _NEXT, position, limit)
        last_ones = await _places(connection, _LAST, position, limit)
        cursor = await connection.execute(_COUNT, {"position": position, "topics": _stored_topics()})
        count = int((await cursor.fetchone() or (0,))[0])
        times, faults = await _times(servers.bootstrap_servers, limit) if last_ones else ({}, [])
        notes += faults
        pending = await _entries(connection, next_ones, {}, notes)
        published = await _entries(connection, last_ones, times, notes)
    return Outbox(position, count, pending, published, notes)


def _stored_topics() -> list[str]:
    return list(event_codec().stored_under([event.topic for event in OUTBOX_EVENTS]))


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
        return [f"Whether the position is right is not known. {faults.sentence(error)}"]
    complaint = await restored(found, copy, await log.head())
    return [] if complaint is None else [complaint]


async def _places(connection: _Connection, query: LiteralString, position: int, limit: int) -> list[_Place]:
    """Return notification ids and sizes in bytes."""
    parameters = {"position": position, "topics": _stored_topics(), "limit": limit}
    return await (await connection.execute(query, parameters)).fetchall()


async def _entries(
    connection: _Connection,
    places: Sequence[_Place],
    times: dict[tuple[str, str], datetime],
    notes: list[str],
) -> list[OutboxEntry]:
    """Return the records of events, in the order of `places`; what cannot be read becomes a note."""
    codec = event_codec()
    entries: list[OutboxEntry] = []
    for ids in _in_pieces(places):
        async with connection.cursor(binary=True, row_factory=as_stored_row) as cursor:
            await cursor.execute(_EVENTS, {"ids": ids})
            rows: dict[int, StoredRow] = {row.notification_id: row for row in await cursor.fetchall()}
        for row in (rows.pop(number) for number in ids if number in rows):
            try:
                event = codec.to_domain_event(row)
            except UndecodableEventError as error:
                notes.append(str(error))
                continue
            recorded = Recorded(row.notification_id, event)
            entries += (_entry(recorded, message, times) for message in outgoing_messages(event))
    return entries


def _in_pieces(places: Sequence[_Place]) -> Iterator[list[int]]:
    """Yield the ids of events that fit into memory together; a dead letter may hold megabytes."""
    ids: list[int] = []
    size = 0
    for number, octets in places:
        if ids and size + octets > _BYTES_AT_A_TIME:
            yield ids
            ids, size = [], 0
        ids.append(number)
        size += octets
    if ids:
        yield ids


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
                at = record_time(record.timestamp)
                if event_id is not None and at is not None and is_ours(record):
                    times[record.topic, event_id] = at
    except (KafkaError, TimeoutError, OSError) as error:
        return times, [f"Not all times of publishing are known. {faults.sentence(error)}"]
    return times, []


def _entry(
    recorded: Recorded, message: OutgoingMessage, times: dict[tuple[str, str], datetime]
) -> OutboxEntry:
    event = recorded.event
    event_id = dict(message.headers)["event_id"].decode()
    published_at = times.get((message.topic, event_id))
    return OutboxEntry(
        recorded.notification_id,
        event.originator_id,
        event.originator_version,
        event.topic,
        message.topic,
        message.key.decode(),
        event_id,
        utc_text(event.causation.received_at),
        None if published_at is None else utc_text(published_at),
    )
