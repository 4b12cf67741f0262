"""Finds events that RAS's code cannot have written where they are: in a wrong stream, or out of order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from application.conservation import Finding
from domain.event_places import EventPlaces
from domain.inbox import NotificationRead
from infrastructure.check.streams import Page

_NOT_SENT: Final = text("""
    SELECT id FROM unnest(CAST(:ids AS uuid[])) AS id
    WHERE id NOT IN (SELECT notification_id FROM ras_teacher_inbox.notifications WHERE notification_id = ANY(:ids))
""")


class Places:
    """Follows the pages of a portion, in order of stream and version."""

    def __init__(self) -> None:
        self._stream_id = ""
        self._check = EventPlaces("")
        self._marks: dict[UUID, tuple[int, str]] = {}

    def take(self, page: Page) -> Iterator[Finding]:
        """Yield what shows in the next page."""
        for number, event in page.recorded:
            if event.originator_id != self._stream_id:
                self._stream_id = event.originator_id
                self._check = EventPlaces(self._stream_id)
            place = _place(event)
            detail = self._check.take(event)
            if detail is not None:
                yield Finding("event store", place, detail)
            elif isinstance(event, NotificationRead):
                self._marks[event.notification_id] = (number, place)

    def end(self, connection: Connection, inbox_reached: int) -> Iterator[Finding]:
        """Yield the marks on notifications that were never sent, as the inbox up to a notification id knows it."""
        marks = {key: place for key, (number, place) in self._marks.items() if number <= inbox_reached}
        if marks:
            for (unknown,) in connection.execute(_NOT_SENT, {"ids": list(marks)}):
                yield Finding("event store", marks[unknown], "It marks a notification that is in no inbox.")


def _place(event: Any) -> str:
    return f"{event.originator_id}/{event.originator_version}"
