"""The account of what was announced: what is recorded in a batch's stream = what its facts call for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from application.conservation import Finding
from domain.aggregate import DomainEvent
from domain.announcement_check import AnnouncementCheck, AnnouncementFault
from domain.batch import BATCH_STREAMS
from infrastructure.check.streams import Page

_ACCOUNT: Final = "announcements"


class Announcements:
    """Follows the pages of a portion. A stream with an event that cannot be read or folded has no meaning to check."""

    def __init__(self, early_until: int) -> None:
        """Begin. Events up to the notification id `early_until` were recorded by the rules of an early release."""
        self._early_until = early_until
        self._stream_id = ""
        self._check: AnnouncementCheck | None = None
        self._given_up: set[str] = set()

    def take(self, page: Page) -> Iterator[Finding]:
        """Yield what shows in the next page."""
        self._given_up |= {error.stream_id for error in page.unreadable}
        if self._stream_id in self._given_up:
            self._check = None
        for each in page.recorded:
            event: DomainEvent = each.event
            if event.originator_id != self._stream_id:
                yield from self.end()
                self._stream_id = event.originator_id
                if self._stream_id.startswith(BATCH_STREAMS) and self._stream_id not in self._given_up:
                    self._check = AnnouncementCheck(self._stream_id)
            if self._check is not None:
                yield from self._seen(self._check, event, is_early=each.notification_id <= self._early_until)

    def end(self) -> Iterator[Finding]:
        """Yield what is missing at the end of the stream at hand."""
        if self._check is not None:
            yield from _named(self._check.end())
        self._check = None

    def _seen(self, check: AnnouncementCheck, event: DomainEvent, *, is_early: bool) -> Iterator[Finding]:
        try:
            found = check.take(event, is_early=is_early)
        except Exception as error:  # noqa: BLE001 - our own code fails on one stream; the others can be checked
            self._check = None
            detail = f"Our own code fails on this event ({type(error).__name__}): what the stream announces was not checked."
            yield Finding(_ACCOUNT, f"{event.originator_id}/{event.originator_version}", detail)
        else:
            yield from _named(found)


def _named(found: Iterable[AnnouncementFault]) -> Iterator[Finding]:
    return (Finding(_ACCOUNT, f"{fault.stream_id}/{fault.version}", fault.detail) for fault in found)
