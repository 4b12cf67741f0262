"""The description of what clients may wait for."""

from __future__ import annotations

from typing import Any, Final

from infrastructure.http.openapi import query
from infrastructure.http.waiting import POSITION

AFTER: Final = query(
    "after",
    f"Answer from what is known of all events up to this position: `{POSITION}` of an earlier answer, or of a change."
    " 503 where that is not so in time (`wait`, else 5 s)",
    {"type": "string", "pattern": "^[0-9]{1,18}$"},
)
WAIT: Final = query(
    "wait",
    "Seconds to hold a 304 back until there is another answer (with `If-None-Match`), and to wait for `after`; bounded by the"
    " server, 30 s unless set otherwise",
    {"type": "number", "minimum": 0},
)
PREFER: Final[dict[str, Any]] = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=SECONDS` (RFC 7240) instead of the parameter; `Preference-Applied` says what was heeded",
    "schema": {"type": "string"},
}
