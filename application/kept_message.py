"""Restores a message from the event that kept it."""

from __future__ import annotations

from base64 import b64decode

from application.messages import IncomingMessage
from domain.batch_events import MessageParked
from domain.dead_letters import MessageDeadLettered


def message_of(event: MessageDeadLettered | MessageParked) -> IncomingMessage:
    """Return the message that `event` keeps.

    The record's own time is that of the event. For a parked message that may be a time of its payload; then
    the record's plays no part in reading it.
    """
    return IncomingMessage(
        topic=event.causation.topic,
        partition=event.causation.partition,
        offset=event.causation.offset,
        timestamp_ms=round(event.happened_at.timestamp() * 1000),
        key=None if event.key is None else b64decode(event.key),
        value=None if event.value is None else b64decode(event.value),
        headers=tuple((name, b64decode(value)) for name, value in event.headers),
    )
