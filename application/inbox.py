"""Marks a notification as read: the only thing that a client can change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from application.ports import EventStorePort, StreamConflictError, UnreadableEvents
from domain.inbox import InboxNotification, inbox_stream_id
from domain.values import Causation

_ATTEMPTS: Final = 3


class UnreadableStreamError(Exception):
    """What is recorded of a notification cannot be decoded: the code is older than the store."""


class MarkNotificationRead:
    """The use case. Blocks: keep it off the event loop."""

    def __init__(self, store: EventStorePort) -> None:
        self._store = store

    def __call__(self, notification_id: UUID, teacher_id: str, *, correlation_id: str | None) -> None:
        """Record that the teacher read it; once recorded, again changes nothing."""
        stream_id = inbox_stream_id(notification_id)
        for attempt in range(_ATTEMPTS):
            now = datetime.now(UTC)
            try:
                with self._store.transaction() as transaction:
                    events = transaction.load({stream_id: 0}, most=1).get(stream_id, [])
                    if isinstance(events, UnreadableEvents):
                        raise UnreadableStreamError(events.reason)
                    notification = InboxNotification.replay(stream_id, events)
                    notification.mark_read(
                        notification_id=notification_id,
                        teacher_id=teacher_id,
                        happened_at=now,
                        causation=Causation(
                            topic="http",
                            partition=0,
                            offset=0,
                            received_at=now,
                            correlation_id=correlation_id,
                        ),
                    )
                    pending = notification.collect_events()
                    if pending:
                        transaction.append(pending, [])
            except StreamConflictError:
                if attempt + 1 == _ATTEMPTS:
                    raise
            else:
                return
