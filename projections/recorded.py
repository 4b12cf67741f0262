"""What followers read off the log. Apart from the projections, because a publisher needs no SQLAlchemy."""

from __future__ import annotations

from typing import Any, NamedTuple


class Recorded(NamedTuple):
    """A domain event and its place in the log."""

    notification_id: int
    event: Any
