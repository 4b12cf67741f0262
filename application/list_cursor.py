"""Where a page of a list ends, so that the next one begins behind it although the list has grown meanwhile."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self

from domain.times import EARLIEST_TIME, LATEST_TIME

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

CURSOR_PATTERN: Final = r"^-?[0-9]{1,18}-[^\u0000]{1,255}$"
_CURSOR: Final = re.compile(r"(-?[0-9]{1,18})-([^\0]{1,255})")


class ListCursor(NamedTuple):
    """The batch behind which a page begins, in a list by time of registration, newest first, then by batch id."""

    registered_at: datetime
    batch_id: str

    @classmethod
    def behind(cls, row: Any) -> Self:
        """Return the cursor behind a batch's row."""
        return cls(row["registered_at"], row["batch_id"])

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the cursor that `text` is, None if it is none. Every text of `CURSOR_PATTERN` is one."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            return None
        microseconds = min(max(int(found[1]), _micros(EARLIEST_TIME)), _micros(LATEST_TIME))
        return cls(_EPOCH + microseconds * _MICROSECOND, found[2])

    def __str__(self) -> str:
        """Return it as a parameter holds it: microseconds since 1970, and the id."""
        return f"{_micros(self.registered_at)}-{self.batch_id}"


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND
