"""Makes times safe for every reader: in UTC, within the range that all of them can show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_A_DAY: Final = timedelta(days=1)
EARLIEST_TIME: Final = datetime.min.replace(tzinfo=UTC) + _A_DAY
LATEST_TIME: Final = datetime.max.replace(tzinfo=UTC) - _A_DAY
"""A day from the ends of the calendar, so that the time exists in every time zone, that of a database session too."""

_FIRST_YEAR: Final = EARLIEST_TIME.year
_LAST_YEAR: Final = LATEST_TIME.year


def in_utc(time: datetime) -> datetime:
    """Return the same moment in UTC. A time without a zone is UTC; one at the ends of the calendar is brought inside.

    PostgreSQL refuses offsets from 16 hours on, and Python cannot convert the last day in the west: both
    are written in messages all the same, and in events that were stored before this was checked.
    """
    offset = time.utcoffset()
    if offset:
        try:
            time = time.astimezone(UTC)
        except OverflowError:
            return LATEST_TIME if offset < timedelta(0) else EARLIEST_TIME
    elif time.tzinfo is not UTC:
        # One object for the zone of nearly every time: a parser makes a new one for each, which stays.
        time = time.replace(tzinfo=UTC)
    if _FIRST_YEAR < time.year < _LAST_YEAR:
        return time  # nearly always, and the comparison of two times costs ten times as much
    return min(max(time, EARLIEST_TIME), LATEST_TIME)


def utc_text(time: datetime) -> str:
    """Return `time` as wire formats write it: UTC, with `Z`."""
    if time.utcoffset() is None or time.utcoffset() or not _FIRST_YEAR < time.year < _LAST_YEAR:
        time = in_utc(time)
    return f"{time.isoformat()[: -len('+00:00')]}Z"
