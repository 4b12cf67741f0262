"""After which event another Kafka log begins.

Events name messages by their offsets, and a topic that was recreated gives out the same offsets again: two
messages then share their coordinates, and the first may lie beyond the position of today. Since the events of a
message and the position behind it are one transaction, the log of events is cut cleanly: what came from the
old Kafka log has ids up to the last one at the moment at which the position was set back, and what comes from the new
one has greater ids. That id is kept here, by the name of the position. (Messages that were put aside are ingested
long after they came; they are distinguished by their retry or drain.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from psycopg import Cursor

_BEGIN: Final = """
    INSERT INTO ras.log_beginnings (name, after)
    SELECT name, (SELECT coalesce(max(notification_id), 0) FROM ras.stored_events) FROM unnest(%s::text[]) AS name
    ON CONFLICT (name, after) DO NOTHING
"""


def begin_anew(cursor: Cursor[Any], names: Sequence[str]) -> None:
    """Note that what these positions are in begins after the last event of now.

    The caller holds the lock that keeps out other writers of events.
    """
    if names:
        cursor.execute(_BEGIN, (list(names),))
