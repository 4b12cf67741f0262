"""An event may stand where our own code puts it, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from domain.aggregate import DomainEvent
from domain.batch_events import DrainOutcome, MessageDrained, MessageParked
from domain.dead_letters import DeadLetter, DeadLetterDiscarded, Reason, RetryOutcome
from domain.event_places import EventPlaces
from domain.inbox import InboxNotification, NotificationRead, inbox_stream_id
from tests.support.given import STREAM, caused_by, minute

LETTER = "dead-letter-upstream-0-7-1772870400000"
NOTIFICATION = UUID("00000000-0000-4000-8000-000000000007")


def letter(*outcomes: RetryOutcome) -> list[DomainEvent]:
    """Return what is recorded of a letter that was retried with these outcomes."""
    aggregate = DeadLetter(LETTER)
    times: dict[str, Any] = {"happened_at": minute(1), "causation": caused_by(7)}
    aggregate.record(reason=Reason.NOT_JSON, detail="?", key=None, value=None, headers=(), **times)
    for outcome in outcomes:
        aggregate.retry(outcome, by="operator", **times)
    return list(aggregate.collect_events())


def discarded(version: int) -> DomainEvent:
    """Return the end of a letter."""
    return DeadLetterDiscarded(
        originator_id=LETTER,
        originator_version=version,
        happened_at=minute(2),
        causation=caused_by(7),
        by="operator",
        why="a test",
    )


def parked(version: int, offset: int) -> MessageParked:
    """Return a parked message."""
    return MessageParked(
        originator_id=STREAM,
        originator_version=version,
        happened_at=minute(version),
        causation=caused_by(offset),
        fault="KeyError",
        reason="a bug",
        key=None,
        value=None,
        headers=(),
    )


def drained(version: int, parked_version: int) -> MessageDrained:
    """Return the end of a parked message."""
    return MessageDrained(
        originator_id=STREAM,
        originator_version=version,
        happened_at=minute(version),
        causation=caused_by(0),
        parked_version=parked_version,
        outcome=DrainOutcome.RECORDED,
        by="operator",
    )


def mark() -> NotificationRead:
    """Return the mark on a notification."""
    notification = InboxNotification(inbox_stream_id(NOTIFICATION))
    notification.mark_read(
        notification_id=NOTIFICATION,
        teacher_id="teacher-0007",
        happened_at=minute(1),
        causation=caused_by(1),
    )
    [event] = notification.collect_events()
    assert isinstance(event, NotificationRead)
    return event


def complaints(stream_id: str, *events: DomainEvent) -> list[str]:
    """Return what is wrong with a stream of these events."""
    check = EventPlaces(stream_id)
    return [detail for event in events if (detail := check.take(event)) is not None]


@pytest.mark.parametrize(
    ("stream_id", "events"),
    [
        (LETTER, letter()),
        (LETTER, letter(RetryOutcome.REFUSED, RetryOutcome.REFUSED, RetryOutcome.RECORDED)),
        (LETTER, [*letter(RetryOutcome.REFUSED), discarded(3)]),
        (STREAM, [parked(1, 1), parked(2, 2), drained(3, 1), drained(4, 2)]),
        (inbox_stream_id(NOTIFICATION), [mark()]),
    ],
)
def test_what_our_own_code_records_has_its_place(stream_id: str, events: list[DomainEvent]) -> None:
    assert complaints(stream_id, *events) == []


@pytest.mark.parametrize(
    ("stream_id", "events", "complaint"),
    [
        (LETTER, [*letter(), letter()[0]], "put aside once"),
        (LETTER.replace("-7-", "-8-"), letter(), "another message"),
        (LETTER, [*letter(RetryOutcome.RECORDED), discarded(3)], "settled before"),
        (LETTER, [*letter(), letter(RetryOutcome.REFUSED, RetryOutcome.REFUSED)[2]], "attempt 2"),
        (STREAM, letter(), "no place in this stream"),
        (STREAM, [mark()], "no place in this stream"),
        (STREAM, [parked(1, 1), parked(2, 1)], "parked here before"),
        (STREAM, [parked(1, 1), drained(2, 1), drained(3, 1)], "No message waits here as version 1"),
        (inbox_stream_id(NOTIFICATION), [mark(), mark()], "marked as read before"),
        (
            inbox_stream_id(NOTIFICATION),
            [replace(mark(), notification_id=UUID(int=7))],
            "another notification",
        ),
        (LETTER, [parked(1, 1)], "no place in this stream"),
    ],
)
def test_what_stands_elsewhere_or_out_of_turn_is_told(
    stream_id: str, events: list[DomainEvent], complaint: str
) -> None:
    [found] = complaints(stream_id, *events)

    assert complaint in found
