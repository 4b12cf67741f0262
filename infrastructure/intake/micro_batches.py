"""From records as they were fetched to micro-batches of translated messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from heapq import merge

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from application.deciding import Intake
from application.translate import translate, unreadable
from infrastructure.intake.incoming import incoming
from infrastructure.intake.time_order import moment_of
from infrastructure.kafka.unreadable_batches import UnreadableRecord


def micro_batches(
    fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]], *, max_bytes: int
) -> Iterator[list[ConsumerRecord]]:
    """Yield records in the order of their times, each partition's in order, by the byte bound.

    A record that is larger than `max_bytes` is a micro-batch of its own.
    """
    batch: list[ConsumerRecord] = []
    size = 0
    for record in merge(*fetched.values(), key=moment_of):
        length = len(record.value or b"")
        if batch and size + length > max_bytes:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += length
    yield batch


def translated(records: Sequence[ConsumerRecord], *, future_tolerance: timedelta) -> list[Intake]:
    """Return what each record asks for, or why it cannot be ingested; all were received now."""
    received_at = datetime.now(UTC)
    return [
        Intake(
            message := incoming(record),
            unreadable(message, record.fault, received_at=received_at)
            if isinstance(record, UnreadableRecord)
            else translate(message, received_at=received_at, future_tolerance=future_tolerance),
        )
        for record in records
    ]
