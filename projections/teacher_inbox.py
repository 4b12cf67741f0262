"""Read model of the teachers' inboxes: the notifications that were sent, and which were read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Index, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.inbox import NotificationRead
from domain.notifications import teacher_notification
from projections.projection import Projection, Row, Statement, as_rows, change, schema_of, upsert
from projections.recorded import Recorded

NAME: Final = "teacher_inbox"

metadata: Final = MetaData(schema=schema_of(NAME))

notifications: Final = Table(
    "notifications",
    metadata,
    Column("notification_id", Uuid, primary_key=True),
    Column("teacher_id", Text, nullable=False),
    Column("notification_type", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("action_required", Boolean, nullable=False),
    Column("batch_id", Text, nullable=False),
    Column("class_id", Text),
    Column("correlation_id", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("happened_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("read_at", DateTime(timezone=True)),
)
Index("notifications_of_teacher", notifications.c.teacher_id, notifications.c.position.desc())

_SENT: Final = tuple(name for name in map(str, notifications.columns.keys()) if name != "read_at")
_READ: Final = ("notification_id", "read_at")

_send = upsert(notifications, _SENT)
_mark_read = change(notifications, _READ, keys=("notification_id",))


def _sent_row(recorded: Recorded) -> Row:
    notification = teacher_notification(recorded.event)
    return {
        "notification_id": notification.event_id,
        "teacher_id": notification.teacher_id,
        "notification_type": notification.notification_type,
        "category": notification.category,
        "priority": notification.priority,
        "action_required": notification.action_required,
        "batch_id": notification.batch_id,
        "class_id": notification.class_id,
        "correlation_id": notification.correlation_id,
        "payload": dict(notification.payload),
        "happened_at": recorded.event.happened_at,
        "position": recorded.notification_id,
    }


class _Changes:
    """The notifications that a batch of events sent, and the marks that it set."""

    def __init__(self) -> None:
        self._sent: list[Row] = []
        self._read: list[Row] = []

    def take(self, recorded: Recorded) -> None:
        """Fold one event in."""
        event = recorded.event
        if isinstance(event, NotificationRead):
            self._read.append({"notification_id": event.notification_id, "read_at": event.happened_at})
        else:
            self._sent.append(_sent_row(recorded))

    def statements(self) -> Iterator[Statement]:
        """Yield what brings the table up to date; a notification is there before it is read."""
        if self._sent:
            yield Statement(_send, as_rows(self._sent))
        if self._read:
            yield Statement(_mark_read, as_rows(self._read))


teacher_inbox: Final = Projection(
    name=NAME,
    version=1,
    events=(BatchResultsReady, BatchAssessmentCompleted, NotificationRead),
    metadata=metadata,
    changes=_Changes,
)
