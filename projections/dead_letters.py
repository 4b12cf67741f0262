"""Read model for operators: the messages that were put aside, and those that wait for a fix."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from domain.batch_events import MessageParked
from domain.dead_letters import MessageDeadLettered
from projections.projection import Projection, Row, Statement, as_rows, schema_of, upsert
from projections.recorded import Recorded

NAME: Final = "dead_letters"
PARKED: Final = "parked"
"""The reason shown for a message that waits behind a fault of our own code."""

metadata: Final = MetaData(schema=schema_of(NAME))

letters: Final = Table(
    "letters",
    metadata,
    Column("position", BigInteger, primary_key=True),
    Column("stream_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("headers", JSONB, nullable=False),
)
Index("letters_by_reason", letters.c.reason, letters.c.position)

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
"""Stands for U+0000, which PostgreSQL cannot store; the event keeps what the message had."""

_LETTER: Final = tuple(map(str, letters.columns.keys()))
_put_aside = upsert(letters, _LETTER)


def _row(recorded: Recorded) -> Row:
    event: MessageDeadLettered | MessageParked = recorded.event
    if isinstance(event, MessageParked):
        reason, detail = PARKED, event.reason
    else:
        reason, detail = event.reason.value, event.detail
    return {
        "position": recorded.notification_id,
        "stream_id": event.originator_id,
        "reason": reason,
        "detail": detail.replace("\0", _REPLACEMENT),
        "topic": event.causation.topic,
        "partition": event.causation.partition,
        "offset": event.causation.offset,
        "received_at": event.causation.received_at,
        "key": None if event.key is None else b64decode(event.key),
        "value": None if event.value is None else b64decode(event.value),
        "headers": [[name.replace("\0", _REPLACEMENT), value] for name, value in event.headers],
    }


def _statements(recorded: Sequence[Recorded]) -> list[Statement]:
    return [Statement(_put_aside, as_rows(map(_row, recorded)))]


dead_letters: Final = Projection(
    name=NAME,
    version=1,
    events=(MessageDeadLettered, MessageParked),
    metadata=metadata,
    statements=_statements,
)
