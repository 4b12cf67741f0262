"""Read model for operators: dead letters, parked messages, and what became of them.

A row is one message. The event that put it aside makes it; what operators do later changes its `state`. They
find each other by the stream and the version of the first event.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Final

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from domain.batch_events import MessageDrained, MessageParked
from domain.dead_letters import (
    DRAINED,
    PARKED,
    DeadLetterDiscarded,
    DeadLetterReplaced,
    DeadLetterRetried,
    LetterState,
    MessageDeadLettered,
    RetryOutcome,
)
from projections.projection import Projection, Row, Statement, as_rows, change, schema_of, upsert
from projections.recorded import Recorded

NAME: Final = "dead_letters"

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
    Column("stream_version", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("changed_at", DateTime(timezone=True)),
    Column("changed_by", Text),
    Column("note", Text),
)
Index("letters_by_reason", letters.c.reason, letters.c.position)
Index("letters_by_state", letters.c.state, letters.c.position)
Index("letters_by_stream", letters.c.stream_id, letters.c.stream_version)

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
"""Stands for U+0000, which PostgreSQL cannot store; the event keeps what the message had."""

_LETTER: Final = tuple(map(str, letters.columns.keys()))
_KEY: Final = ("stream_id", "stream_version")
_SETTLED: Final = (*_KEY, "state", "changed_at", "changed_by", "note")
_RETRIED: Final = (*_SETTLED, "attempts")

_put_aside = upsert(letters, _LETTER)
_retry = change(letters, _RETRIED, keys=_KEY)
_settle = change(letters, _SETTLED, keys=_KEY)


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
        "detail": _storable(detail),
        "topic": event.causation.topic,
        "partition": event.causation.partition,
        "offset": event.causation.offset,
        "received_at": event.causation.received_at,
        "key": None if event.key is None else b64decode(event.key),
        "value": None if event.value is None else b64decode(event.value),
        "headers": [[_storable(name), value] for name, value in event.headers],
        "stream_version": event.originator_version,
        "state": LetterState.OPEN.value,
        "attempts": 0,
        "changed_at": None,
        "changed_by": None,
        "note": None,
    }


def _retried_row(event: DeadLetterRetried) -> Row:
    refused = event.outcome is RetryOutcome.REFUSED
    return {
        "stream_id": event.originator_id,
        "stream_version": 1,
        "state": (LetterState.OPEN if refused else LetterState.RETRIED).value,
        "attempts": event.attempt,
        "changed_at": event.happened_at,
        "changed_by": _storable(event.by),
        "note": _storable(f"{event.reason}: {event.detail}") if refused else event.outcome.value,
    }


def _settled_row(event: DeadLetterDiscarded | DeadLetterReplaced | MessageDrained) -> Row:
    if isinstance(event, MessageDrained):
        version, state, note = event.parked_version, DRAINED, event.outcome.value
    else:
        state = (
            LetterState.DISCARDED if isinstance(event, DeadLetterDiscarded) else LetterState.REPLACED
        ).value
        version, note = 1, _storable(event.why)
    return {
        "stream_id": event.originator_id,
        "stream_version": version,
        "state": state,
        "changed_at": event.happened_at,
        "changed_by": _storable(event.by),
        "note": note,
    }


def _storable(text: str) -> str:
    return text.replace("\0", _REPLACEMENT)


class _Changes:
    """The dead letters in a batch of events, and what became of them: what happened last is shown."""

    def __init__(self) -> None:
        self._aside: list[Row] = []
        self._retried: dict[str, Row] = {}
        self._settled: dict[tuple[object, object], Row] = {}

    def take(self, recorded: Recorded) -> None:
        """Fold one event in."""
        event = recorded.event
        if isinstance(event, MessageDeadLettered | MessageParked):
            self._aside.append(_row(recorded))
        elif isinstance(event, DeadLetterRetried):
            self._retried[event.originator_id] = _retried_row(event)
        else:
            row = _settled_row(event)
            self._settled[row["stream_id"], row["stream_version"]] = row

    def statements(self) -> Iterator[Statement]:
        """Yield what brings the table up to date: what becomes of a message comes after it."""
        if self._aside:
            yield Statement(_put_aside, as_rows(self._aside))
        if self._retried:
            yield Statement(_retry, as_rows(self._retried.values()))
        if self._settled:
            yield Statement(_settle, as_rows(self._settled.values()))


dead_letters: Final = Projection(
    name=NAME,
    version=2,
    events=(
        MessageDeadLettered,
        MessageParked,
        DeadLetterRetried,
        DeadLetterReplaced,
        DeadLetterDiscarded,
        MessageDrained,
    ),
    metadata=metadata,
    changes=_Changes,
)
