"""Converts records of the client to messages of the use cases, and translates them.

A record travels as a plain tuple, which costs a third of an object on its way to another process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from aiokafka.structs import ConsumerRecord

from application.deciding import Intake
from application.messages import IncomingMessage
from application.translate import translate, unreadable
from infrastructure.kafka.unreadable_batches import UnreadableRecord

Raw = tuple[str, int, int, int, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]], str | None]
"""Topic, partition, offset, time, key, value, headers, and why no proper record can be made of it."""


def raw(record: ConsumerRecord) -> Raw:
    """Return what RAS needs of `record`."""
    return (
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        record.headers,
        record.fault if isinstance(record, UnreadableRecord) else None,
    )


def incoming(record: Raw) -> IncomingMessage:
    """Return the message that lies in `record`."""
    topic, partition, offset, timestamp, key, value, headers, _ = record
    # A header may lack a value in Kafka; nobody tells that from an empty one.
    proper = tuple((name, value or b"") for name, value in headers) if headers else ()
    return IncomingMessage(topic, partition, offset, timestamp, key, value, proper)


def translated(records: Iterable[Raw], *, future_tolerance: timedelta) -> list[Intake]:
    """Return what each record asks for, or why it cannot be ingested; all were received now."""
    received_at = datetime.now(UTC)
    return [
        Intake(
            message := incoming(record),
            translate(message, received_at=received_at, future_tolerance=future_tolerance)
            if record[-1] is None
            else unreadable(message, record[-1], received_at=received_at),
        )
        for record in records
    ]
