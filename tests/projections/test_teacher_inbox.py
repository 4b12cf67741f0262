"""The inbox holds the notifications that were sent, and remembers which were read."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.inbox import InboxNotification, NotificationRead, inbox_stream_id
from domain.notifications import teacher_notification
from infrastructure.demo.stream import stream
from projections.teacher_inbox import notifications, teacher_inbox
from tests.domain.test_notifications import RANKED, READY
from tests.support.fake_store import FakeEventStore
from tests.support.given import caused_by, minute
from tests.support.ingesting import Ingestion, intakes_of
from tests.support.read_models import Rows, numbered, project, recorded_in, rows


def inbox(connection: Connection) -> Rows:
    """Return every row of the inbox in the order of the log."""
    return sorted(rows(connection, notifications), key=lambda row: row["position"])


def read(event: BatchResultsReady | BatchAssessmentCompleted, *, at: int = 90) -> NotificationRead:
    """Return that the teacher has read the notification of `event`."""
    notification_id = UUID(str(teacher_notification(event).event_id))
    notification = InboxNotification(inbox_stream_id(notification_id))
    notification.mark_read(
        notification_id=notification_id,
        teacher_id=event.user_id,
        happened_at=minute(at),
        causation=caused_by(1),
    )
    [recorded] = notification.collect_events()
    assert isinstance(recorded, NotificationRead)
    return recorded


def test_the_inbox_holds_what_is_sent(connection: Connection) -> None:
    project(connection, numbered([RANKED, READY]), projections=[teacher_inbox])

    found = inbox(connection)
    assert [row["position"] for row in found] == [1, 2]
    check(found[0], RANKED)
    check(found[1], READY)


def check(row: dict[str, Any], event: BatchResultsReady | BatchAssessmentCompleted) -> None:
    """Check a row against the notification that is sent of `event`."""
    sent = teacher_notification(event)
    assert row == {
        "notification_id": UUID(str(sent.event_id)),
        "teacher_id": "teacher-0007",
        "notification_type": sent.notification_type,
        "category": "processing_results",
        "priority": sent.priority,
        "action_required": False,
        "batch_id": "b1",
        "class_id": event.class_id,
        "correlation_id": sent.correlation_id,
        "payload": sent.payload,
        "happened_at": event.happened_at,
        "position": row["position"],
        "read_at": None,
    }


def test_every_published_event_of_a_stream_is_one_notification(connection: Connection) -> None:
    store = FakeEventStore()
    Ingestion(store).insist(intakes_of(stream(51, 20, class_sizes=(1, 8), failure_share=0.6)))
    log = recorded_in(store)
    project(connection, log, cuts=range(0, len(log), 31), projections=[teacher_inbox])

    published = [each for each in log if isinstance(each.event, teacher_inbox.events)]
    assert [(row["position"], row["teacher_id"], row["payload"]) for row in inbox(connection)] == [
        (each.notification_id, each.event.user_id, teacher_notification(each.event).payload)
        for each in published
    ]


@pytest.mark.parametrize("cuts", [[], [2]], ids=["in one batch", "later"])
def test_a_notification_that_was_read_says_when(connection: Connection, cuts: list[int]) -> None:
    project(connection, numbered([RANKED, READY, read(READY)]), cuts=cuts, projections=[teacher_inbox])

    assert [row["read_at"] for row in inbox(connection)] == [None, minute(90)]


def test_what_was_read_stays_read_when_the_notification_is_written_again(connection: Connection) -> None:
    project(connection, numbered([READY, read(READY)]), projections=[teacher_inbox])
    project(connection, numbered([READY]), projections=[teacher_inbox])

    assert [row["read_at"] for row in inbox(connection)] == [minute(90)]


def test_marking_again_changes_nothing() -> None:
    notification_id = UUID(str(teacher_notification(READY).event_id))
    notification = InboxNotification.replay(inbox_stream_id(notification_id), [read(READY)])
    notification.mark_read(
        notification_id=notification_id,
        teacher_id="teacher-0007",
        happened_at=minute(99),
        causation=caused_by(2),
    )

    assert notification.collect_events() == []
