"""Responses of the teacher's inbox."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from typing_extensions import TypedDict

from application.responses.kinds import Count, FreeObject, UuidText


class Notification(TypedDict):
    """A notification of a teacher."""

    notification_id: UuidText
    notification_type: Literal["batch_results_ready", "batch_assessment_completed"]
    category: str
    priority: Literal["high", "standard"]
    action_required: bool
    batch_id: str
    class_id: str | None
    correlation_id: str
    payload: FreeObject
    timestamp: datetime
    read_at: datetime | None


class Notifications(TypedDict):
    """A page of an inbox, newest first. `unread` counts the whole inbox."""

    notifications: list[Notification]
    unread: Count
    next_cursor: str | None
