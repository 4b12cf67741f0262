"""Times as wire formats write them: in UTC, whatever zone they were given in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter

from domain.times import EARLIEST_TIME, LATEST_TIME, utc_text

_AT = datetime(2026, 3, 7, 9, 0, 0, 250_000, tzinfo=UTC)
_WEST, _EAST = (timezone(timedelta(hours=hours)) for hours in (-5, 2))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (_AT, "2026-03-07T09:00:00.250000Z"),
        (TypeAdapter(datetime).validate_json('"2026-03-07T09:00:00Z"'), "2026-03-07T09:00:00Z"),
        (_AT.replace(tzinfo=None), "2026-03-07T09:00:00.250000Z"),
        (_AT.replace(tzinfo=_EAST), "2026-03-07T07:00:00.250000Z"),
        (datetime.max.replace(tzinfo=_WEST), LATEST_TIME.isoformat().replace("+00:00", "Z")),
        (datetime.max.replace(tzinfo=UTC), LATEST_TIME.isoformat().replace("+00:00", "Z")),
        (datetime.min.replace(tzinfo=_EAST), EARLIEST_TIME.isoformat().replace("+00:00", "Z")),
    ],
    ids=[
        "UTC",
        "a parser's zone",
        "none",
        "another zone",
        "beyond the end",
        "at the end",
        "before the beginning",
    ],
)
def test_a_text_is_in_utc_and_within_the_calendar(given: datetime, text: str) -> None:
    assert utc_text(given) == text
