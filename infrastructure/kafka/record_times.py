"""Checks record times: they come from the sender's clock, which can be wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from time import time
from typing import Final

_EARLIEST_MS: Final = 1_293_840_000_000
"""1 January 2011: Kafka is not older. Clocks that were never set show 1970."""

_AHEAD_S: Final = 86_400
"""Further ahead than this a time is a mistake, for instance microseconds in place of milliseconds."""


def can_be_true(timestamp_ms: int) -> bool:
    """Whether this can be the time of a record; -1 stands for none."""
    return _EARLIEST_MS <= timestamp_ms <= (time() + _AHEAD_S) * 1000


def record_time(timestamp_ms: int) -> datetime | None:
    """Return the time of a record, None where it has none or one that cannot be true."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC) if can_be_true(timestamp_ms) else None
