"""Routes of the teacher's inbox."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.queries import InboxQueries
from application.responses.inbox import Notifications
from infrastructure.http.operation import Operation
from infrastructure.http.parameters import CURSOR, Flag, id_of, limit
from infrastructure.http.problems import Problem
from infrastructure.http.waiting import AFTER, Waiting
from projections.teacher_inbox import teacher_inbox

LIMIT: Final = limit(20, 100)
UNREAD: Final = Flag("unread", "Only unread ones")
_BASE: Final = "/internal/v1/teachers/{teacher_id}/notifications"

NOTIFICATIONS: Final = Operation(
    _BASE,
    "A teacher's inbox, newest first",
    answer=Notifications,
    parameters=[LIMIT, CURSOR, UNREAD, AFTER],
)
READ: Final = Operation[None](
    _BASE + "/{notification_id}/read",
    "Mark a notification as read",
    method="POST",
    problems=[404],
    description="Again changes nothing. The inbox shows it as soon as the projection has it; `?after=` with the"
    " `RAS-Position` of this answer waits for that.",
)
INBOX_OPERATIONS: Final = (NOTIFICATIONS, READ)


class MarkRead(Protocol):
    """Records that a teacher read a notification; blocks."""

    def __call__(self, notification_id: UUID, teacher_id: str, *, correlation_id: str | None) -> None:
        """Record it; once recorded, again changes nothing."""


def inbox_routes(queries: InboxQueries, mark_read: MarkRead, waiting: Waiting) -> list[Route]:
    """Return the routes that answer from `queries`, when they are as far as asked, and write through `mark_read`."""

    async def notifications(request: Request) -> Response:
        teacher_id = id_of(request, "teacher_id", error="Invalid teacher ID")
        await waiting.catch_up(request, teacher_inbox.name)
        body = await queries.notifications(
            teacher_id,
            limit=LIMIT.of(request),
            before=CURSOR.of(request),
            unread=UNREAD.of(request),
        )
        return NOTIFICATIONS.answered(request, body)

    async def read(request: Request) -> Response:
        teacher_id = id_of(request, "teacher_id", error="Invalid teacher ID")
        notification_id = _uuid(request.path_params["notification_id"])
        if notification_id is None or await queries.teacher_of(notification_id) != teacher_id:
            raise Problem(404, "This teacher has no such notification.", error="Notification not found")
        correlation_id = _uuid(request.scope["correlation_id"])
        await asyncio.to_thread(
            mark_read,
            notification_id,
            teacher_id,
            correlation_id=str(correlation_id) if correlation_id else None,
        )
        return Response(status_code=204, headers=await waiting.position_header())

    return [NOTIFICATIONS.route(notifications), READ.route(read)]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
