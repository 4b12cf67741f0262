"""Reading topics as they stand now: committed records only, from given offsets up to today's ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from application.topics import SHARED_TOPICS, SOURCE_SERVICE
from infrastructure.kafka import clients
from infrastructure.kafka.acls import check_authorized
from infrastructure.kafka.topics import existing_partitions

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class CommittedRecords:
    """Topics between the first offset that Kafka still has and the end when it was asked (exclusive)."""

    consumer: AIOKafkaConsumer
    first: Mapping[Partition, int]
    ends: Mapping[Partition, int]

    async def read(self, starts: Mapping[Partition, int]) -> AsyncIterator[ConsumerRecord]:
        """Yield each partition's records from its start on, in order of the partition."""
        unread: dict[TopicPartition, int] = {}
        for key, end in self.ends.items():
            partition = TopicPartition(*key)
            start = max(starts.get(key, 0), self.first[key])
            if start < end:
                self.consumer.seek(partition, start)
                unread[partition] = end
        while unread:
            for records in (await self.consumer.getmany(*unread, timeout_ms=200)).values():
                for record in records:
                    if record.offset < self.ends[record.topic, record.partition]:
                        yield record
            for partition, end in list(unread.items()):
                # Not the last record tells the end: markers of transactions take up offsets too.
                if await self.consumer.position(partition) >= end:
                    del unread[partition]


@asynccontextmanager
async def committed_records(bootstrap_servers: str, topics: Sequence[str]) -> AsyncIterator[CommittedRecords]:
    """Lend a reader of those of `topics` that exist. Raises aiokafka's errors when the broker is unavailable."""
    keys = await existing_partitions(bootstrap_servers, topics)
    async with committed_in(bootstrap_servers, keys) as records:
        yield records


@asynccontextmanager
async def committed_in(bootstrap_servers: str, keys: Iterable[Partition]) -> AsyncIterator[CommittedRecords]:
    """Lend a reader of topic-partitions that exist. Raises aiokafka's errors when the broker is unavailable."""
    partitions = [TopicPartition(*key) for key in keys]
    consumer = clients.consumer(
        bootstrap_servers, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        consumer.assign(partitions)
        await check_authorized(consumer, {partition.topic for partition in partitions})
        first = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        yield CommittedRecords(
            consumer,
            {(p.topic, p.partition): offset for p, offset in first.items()},
            {(p.topic, p.partition): offset for p, offset in ends.items()},
        )
    finally:
        await consumer.stop()


def event_id_of(record: ConsumerRecord) -> str | None:
    """Return the event id in a record's headers, None where there is none."""
    return _header(record, "event_id")


def is_ours(record: ConsumerRecord) -> bool:
    """Tell whether RAS sent this record: other services write to some of the out-topics too.

    A record that names no sender counts as ours in the topics that only RAS writes to.
    """
    sender = _header(record, "source_service") or _sender_in_envelope(record)
    return record.topic not in SHARED_TOPICS if sender is None else sender == SOURCE_SERVICE


def _header(record: ConsumerRecord, wanted: str) -> str | None:
    for name, value in record.headers:
        if name == wanted and value:
            return str(value.decode("utf-8", "replace"))
    return None


def _sender_in_envelope(record: ConsumerRecord) -> str | None:
    try:
        envelope = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None
    sender = envelope.get("source_service") if isinstance(envelope, dict) else None
    return sender if isinstance(sender, str) else None
