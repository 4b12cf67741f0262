"""The teacher's inbox, as far as it is not derived: that a notification was read."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from domain.aggregate import DomainEvent, EventSourcedAggregate
from domain.immutable import immutable
from domain.values import Causation


@immutable(kw_only=True, slots=False)
class NotificationRead(DomainEvent):
    """A teacher marked a notification as read; an event, because a rebuilt inbox must still know."""

    topic: ClassVar = "ras.inbox.notification-read.v1"

    notification_id: UUID
    teacher_id: str


class InboxNotification(EventSourcedAggregate):
    """What happened to one notification after it was sent."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(stream_id)
        self._is_read = False

    def mark_read(
        self, *, notification_id: UUID, teacher_id: str, happened_at: datetime, causation: Causation
    ) -> None:
        """Mark as read; once read it stays so, and marking it again changes nothing."""
        if self._is_read:
            return
        self.trigger_event(
            NotificationRead,
            notification_id=notification_id,
            teacher_id=teacher_id,
            happened_at=happened_at,
            causation=causation,
        )

    def _evolve(self, _event: DomainEvent) -> None:
        self._is_read = True


def inbox_stream_id(notification_id: UUID) -> str:
    """Return the stream of one notification."""
    return f"inbox-{notification_id}"
