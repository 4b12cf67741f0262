"""The log without unreadable events. Another account names those."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from infrastructure.eventstore.codec import UndecodableEventError
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.log_slices import TO_THE_END
from projections.recorded import Recorded

_EVENTS_AT_A_TIME: Final = 5000


async def readable(log: NotificationLog, after: int, to: int = TO_THE_END) -> AsyncIterator[Recorded]:
    """Yield the events after the notification id `after`, up to and including `to`."""
    is_full = True
    while is_full and after < to:
        try:
            stretch = await log.read(after, _EVENTS_AT_A_TIME)
        except UndecodableEventError as error:
            after = error.notification_id
            continue
        for recorded in stretch.events:
            if recorded.notification_id > to:
                return
            yield recorded
        after, is_full = stretch.reached, stretch.is_full
