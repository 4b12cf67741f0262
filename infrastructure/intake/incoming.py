"""Converts a record of the client to a message of the use cases."""

from __future__ import annotations

from aiokafka.structs import ConsumerRecord

from application.messages import IncomingMessage


def incoming(record: ConsumerRecord) -> IncomingMessage:
    """Return the message that lies in `record`."""
    return IncomingMessage(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        # A header may lack a value in Kafka; nobody tells that from an empty one.
        tuple((name, value or b"") for name, value in record.headers),
    )
