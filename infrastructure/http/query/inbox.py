"""Routes of the teacher's inbox."""

from __future__ import annotations

import asyncio
from typing import Protocol
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.queries import InboxQueries
from infrastructure.http.problems import Problem
from infrastructure.http.responses import bool_param, cursor, id_param, int_param, json_response
from infrastructure.http.waiting import Waiting
from projections.teacher_inbox import teacher_inbox


class MarkRead(Protocol):
    """Records that a teacher read a notification; blocks."""

    def __call__(self, notification_id: UUID, teacher_id: str, *, correlation_id: str | None) -> None:
        """Record it; once recorded, again changes nothing."""


def inbox_routes(queries: InboxQueries, mark_read: MarkRead, waiting: Waiting) -> list[Route]:
    """Return the routes that answer from `queries`, when they are as far as asked, and write through `mark_read`."""

    async def notifications(request: Request) -> Response:
        teacher_id = id_param(request, "teacher_id", error="Invalid teacher ID")
        await waiting.catch_up(request, teacher_inbox.name)
        body = await queries.notifications(
            teacher_id,
            limit=int_param(request, "limit", 20, lowest=1, highest=100),
            before=cursor(request),
            unread=bool_param(request, "unread"),
        )
        return json_response(request, body)

    async def read(request: Request) -> Response:
        teacher_id = id_param(request, "teacher_id", error="Invalid teacher ID")
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

    base = "/internal/v1/teachers/{teacher_id}/notifications"
    return [Route(base, notifications), Route(base + "/{notification_id}/read", read, methods=["POST"])]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
