"""What the live stream reads from the database: the positions of the read models, and what lies between two.

Events reach clients only when the read models have them: a client that asks the API about a message finds it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from application.queries import Outlines
from domain.batch import BATCH_STREAMS, batch_stream_id
from domain.batch_events import BatchProgressed
from infrastructure.eventstore.log import NotificationLog
from infrastructure.live.messages import Epoch, Message, StreamId, from_event, from_row, message, state
from infrastructure.queries.read_model_queries import Ask

_GAP_LIMIT: Final = 500
"""Notifications that a client may have missed and still gets one by one."""
_SLICE_EVENTS: Final = 1000
_STATE_SPAN: Final = 20_000
_MARKS: Final = 200

_FINGERPRINT: Final = """
    coalesce((SELECT left(md5(originator_id || '/' || originator_version || '/' || md5(state)), 12)
     FROM ras.stored_events WHERE notification_id <= {} ORDER BY notification_id DESC LIMIT 1), '000000000000')
"""
_LOOK: Final = f"""
    WITH sides AS (
        SELECT m.name, m.generation, coalesce(p.position, 0) AS position
        FROM ras.read_models m LEFT JOIN ras.positions p ON p.name = 'projection/' || m.name
        WHERE m.name IN ('teacher_inbox', 'batch_results')
    ), now AS (
        SELECT i.generation AS inbox_generation, i.position AS inbox,
            b.generation AS batches_generation, b.position AS batches,
            greatest(i.position, b.position) AS proven
        FROM sides i, sides b WHERE i.name = 'teacher_inbox' AND b.name = 'batch_results'
    )
    SELECT now.*, {_FINGERPRINT.format("now.proven")} AS fingerprint,
        {_FINGERPRINT.format("%(known)s ::bigint")} AS known_fingerprint
    FROM now
"""
_GAP: Final = """
    SELECT * FROM ras_teacher_inbox.notifications
    WHERE teacher_id = %(teacher)s AND position > %(after)s AND position <= %(to)s
    ORDER BY position LIMIT %(limit)s
"""
_READ_MARKS: Final = """
    SELECT notification_id FROM (
        SELECT notification_id, read_at FROM ras_teacher_inbox.notifications
        WHERE teacher_id = %(teacher)s ORDER BY position DESC LIMIT %(limit)s
    ) AS newest WHERE read_at IS NOT NULL
"""
_BATCH: Final = f"""
    b.batch_id, b.user_id, b.class_id, b.revision, b.last_updated, (
        SELECT convert_from(e.state, 'UTF8')::jsonb ->> 'correlation_id' FROM ras.stored_events e
        WHERE e.originator_id = '{BATCH_STREAMS}' || b.batch_id AND e.topic = '{BatchProgressed.topic}'
        ORDER BY e.originator_version DESC LIMIT 1
    ) AS correlation_id
"""
_CHANGED: Final = f"""
    SELECT {_BATCH} FROM (
        SELECT DISTINCT substr(originator_id, %(prefix_length)s) AS batch_id FROM ras.stored_events
        WHERE notification_id > %(after)s AND notification_id <= %(to)s AND starts_with(originator_id, %(prefix)s)
    ) c JOIN ras_batch_results.batches b USING (batch_id) WHERE b.user_id = ANY (%(teachers)s ::text[])
"""
_CHANGED_OF: Final = f"""
    SELECT {_BATCH} FROM ras_batch_results.batches b
    WHERE user_id = %(teacher)s AND position > %(after)s ORDER BY position DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Look:
    """How far the read models are, and whether the log still begins as the id that was asked about says."""

    here: StreamId
    is_same_log: bool

    def continues(self, known: StreamId) -> bool:
        """Whether `known` is of this epoch and not from the future."""
        then, now = known.epoch, self.here.epoch
        return (
            self.is_same_log
            and then[:2] == now[:2]
            and then.proven <= now.proven
            and known.inbox <= self.here.inbox
            and known.batches <= self.here.batches
        )


class Feed:
    """Reads for one process. Raises psycopg's errors when the database is unavailable."""

    def __init__(self, ask: Ask, log: NotificationLog, outlines: Outlines) -> None:
        self._ask = ask
        self._log = log
        self._outlines = outlines

    async def look(self, known: StreamId | None = None) -> Look:
        """Return how far the read models are; `known` is an id that may be of another history."""
        proven = 0 if known is None else known.epoch.proven
        rows = await self._ask(_LOOK, {"known": proven})
        if not rows:
            return Look(StreamId(Epoch(0, 0, 0, "0" * 12), 0, 0), is_same_log=True)  # before `ras rebuild`
        row = rows[0]
        epoch = Epoch(row["inbox_generation"], row["batches_generation"], row["proven"], row["fingerprint"])
        here = StreamId(epoch, row["inbox"], row["batches"])
        return Look(here, known is None or row["known_fingerprint"] == known.epoch.fingerprint)

    async def inbox_events(self, after: StreamId, to: StreamId) -> tuple[list[tuple[str, Message]], int]:
        """Return teachers and messages for what the inbox got after one place, and how far that reaches."""
        found = await self._log.read(after.inbox, _SLICE_EVENTS, to=to.inbox)
        messages = [
            from_event(each, StreamId(to.epoch, each.notification_id, after.batches)) for each in found.events
        ]
        return messages, max(found.reached, after.inbox)

    async def missed(self, teacher: str, known: StreamId, to: StreamId) -> list[Message] | None:
        """Return the notifications of a teacher between two places, None where they are too many."""
        if known.inbox >= to.inbox:
            return []
        rows = await self._ask(
            _GAP, {"teacher": teacher, "after": known.inbox, "to": to.inbox, "limit": _GAP_LIMIT + 1}
        )
        if len(rows) > _GAP_LIMIT:
            return None
        return [from_row(row, StreamId(to.epoch, row["position"], known.batches)) for row in rows]

    async def missed_state(self, teacher: str, known: StreamId, to: StreamId) -> list[Message] | None:
        """Return what changed for a teacher without being a notification: read marks, and how batches stand now.

        The ids are those of before: a client that gets a part only gets all of it next time. None where it is too much.
        """
        at = to._replace(batches=min(known.batches, to.batches))
        marks = await self._ask(_READ_MARKS, {"teacher": teacher, "limit": _MARKS})
        ids = [str(row["notification_id"]) for row in marks]
        read = (
            message("notifications_read", at, {"notification_ids": ids}) if known.inbox < to.inbox else None
        )
        rows = await self._ask(
            _CHANGED_OF, {"teacher": teacher, "after": known.batches, "limit": _GAP_LIMIT + 1}
        )
        if len(rows) > _GAP_LIMIT:
            return None
        states = await self._states(rows, at)
        return [*([read] if read is not None else ()), *(each for _, _, each in states)]

    async def changed_batches(
        self, teachers: Sequence[str], after: StreamId, to: StreamId
    ) -> tuple[list[tuple[str, str, Message]], int]:
        """Return teacher, batch and state of each batch that changed, and how far that reaches."""
        reached = min(to.batches, after.batches + _STATE_SPAN)
        prefix = batch_stream_id("")
        rows = await self._ask(
            _CHANGED,
            {
                "prefix": prefix,
                "prefix_length": len(prefix) + 1,
                "after": after.batches,
                "to": reached,
                "teachers": list(teachers),
            },
        )
        return await self._states(rows, StreamId(to.epoch, after.inbox, after.batches)), reached

    async def _states(
        self, rows: Sequence[Mapping[str, Any]], at: StreamId
    ) -> list[tuple[str, str, Message]]:
        outlines = await self._outlines([row["batch_id"] for row in rows]) if rows else {}
        return [
            (row["user_id"], row["batch_id"], state(outlines[row["batch_id"]], row, at))
            for row in rows
            if row["batch_id"] in outlines
        ]

    async def close(self) -> None:
        """Close the connection that reads the log."""
        await self._log.close()
