"""What followers read from the log. It is apart from the projections: a publisher needs no SQLAlchemy."""

from __future__ import annotations

from typing import Any, NamedTuple


class Recorded(NamedTuple):
    """A domain event and its place in the log."""

    notification_id: int
    event: Any
