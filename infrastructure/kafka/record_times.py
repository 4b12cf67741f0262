"""Checks record times: they come from the sender's clock, which can be wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EARLIEST_MS: Final = 1_293_840_000_000
"""1 January 2011: Kafka is not older. Clocks that were never set show 1970."""

_AHEAD: Final = timedelta(days=1)
"""Further ahead than this a time is a mistake, for instance microseconds in place of milliseconds."""


def record_time(timestamp_ms: int) -> datetime | None:
    """Return the time of a record, None where it has none or one that cannot be true."""
    if not _EARLIEST_MS <= timestamp_ms <= (datetime.now(UTC) + _AHEAD).timestamp() * 1000:
        return None
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
