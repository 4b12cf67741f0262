"""Which events count at a given time, and reading that time from a request.

There are two times to travel by. *Recorded*: what RAS knew then. Events are recorded in the order of their
stream, so this is a stretch from its beginning: an event received later ends it, and what stands behind that
event was recorded later still, even where another ingester's clock ran behind. *Happened*: what was
so then, as far as it is known today, whenever RAS learnt of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from domain.aggregate import DomainEvent


class By(StrEnum):
    """The time to travel by."""

    RECORDED = "recorded"
    HAPPENED = "happened"


class _Recorded(Protocol):
    @property
    def event(self) -> DomainEvent: ...


_R = TypeVar("_R", bound=_Recorded)

_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(\.\d+)?([Zz]|[+ -]\d\d:\d\d)", re.ASCII
)
_LAST_MINUTE: Final = (23, 59)


def moment(text: str) -> datetime:
    """Return the time that `text` writes as RFC 3339 says (section 5.6), in UTC.

    A blank before the zone is taken for the `+` that URLs turn into a blank. A leap second, which a datetime
    does not have, is the second after it. Raises ValueError, with a sentence, for anything else.
    """
    match = _RFC_3339.fullmatch(text)
    if match is not None:
        date, time, seconds, fraction, zone = match.groups()
        zone = "+00:00" if zone in {"Z", "z"} else zone.replace(" ", "+")
        is_leap = seconds == "60"
        written = f"{date}T{time}{'59' if is_leap else seconds}{(fraction or '')[:7]}{zone}"
        try:
            at = datetime.fromisoformat(written).astimezone(UTC)
            # One is inserted at the end of a day in UTC, whatever the zone in which it is written.
            if not is_leap:
                return at
            if (at.hour, at.minute) == _LAST_MINUTE:
                return at + timedelta(seconds=1)
        except OverflowError:
            raise ValueError(_beyond(text)) from None
        except ValueError:
            if date.startswith("0000"):
                raise ValueError(_beyond(text)) from None
    raise ValueError(
        f"{text[:64]!r} is no time: write it as RFC 3339 says, with its zone, for example 2026-03-07T08:15:00Z."
    )


def _beyond(text: str) -> str:
    return (
        f"{text[:64]!r} is a time of a year that there is not here: in UTC it must be of the years 1 to 9999."
    )


def up_to(events: Iterable[_R], at: datetime, by: By) -> Iterator[_R]:
    """Yield those of a stream's `events` (in version order) that count at `at`, that moment included."""
    for recorded in events:
        if by is By.HAPPENED:
            if recorded.event.happened_at <= at:
                yield recorded
        elif recorded.event.causation.received_at <= at:
            yield recorded
        else:
            return
