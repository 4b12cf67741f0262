"""What the live stream reads from the database: the positions of the read models, and what lies between two.

Events reach clients only when the read models have them: a client that asks the API about a message finds it there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from application.queries import Outlines
from domain.batch import BATCH_STREAMS, batch_stream_id
from domain.batch_events import BatchProgressed
from domain.language_analysis import ANALYSIS_STREAMS
from infrastructure.eventstore.log import NotificationLog
from infrastructure.live.messages import Epoch, Message, StreamId, from_event, from_row, message, state
from infrastructure.queries.read_model_queries import Ask

if TYPE_CHECKING:
    from application.responses.batches import BatchStatus

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
        ARRAY(SELECT {_FINGERPRINT.format("known.proven")} FROM unnest(%(known)s ::bigint[]) WITH ORDINALITY
            AS known (proven, number) ORDER BY number) AS known_fingerprints
    FROM now
"""
_GAPS: Final = """
    SELECT r.number, n.* FROM unnest(%(teachers)s ::text[], %(after)s ::bigint[], %(to)s ::bigint[]) WITH ORDINALITY
        AS r (teacher, after, upto, number)
    CROSS JOIN LATERAL (
        SELECT * FROM ras_teacher_inbox.notifications
        WHERE teacher_id = r.teacher AND position > r.after AND position <= r.upto
        ORDER BY position LIMIT %(limit)s
    ) n ORDER BY r.number, n.position
"""
_READ_MARKS: Final = """
    SELECT r.number, n.notification_id FROM unnest(%(teachers)s ::text[]) WITH ORDINALITY AS r (teacher, number)
    CROSS JOIN LATERAL (
        SELECT notification_id, read_at FROM ras_teacher_inbox.notifications
        WHERE teacher_id = r.teacher ORDER BY position DESC LIMIT %(limit)s
    ) n WHERE n.read_at IS NOT NULL
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
        UNION
        SELECT x.batch_id FROM ras.stored_events e
        JOIN ras_batch_results.essays x ON x.essay_id = substr(e.originator_id, {len(ANALYSIS_STREAMS) + 1})
        WHERE e.notification_id > %(after)s AND e.notification_id <= %(to)s
            AND left(e.originator_id, {len(ANALYSIS_STREAMS)}) = '{ANALYSIS_STREAMS}' AND x.ordinal IS NOT NULL
    ) c JOIN ras_batch_results.batches b USING (batch_id) WHERE b.user_id = ANY (%(teachers)s ::text[])
"""
"""A language analysis names no batch: it moves those on that have its essay.

`left` and not `starts_with`, for which a plan may read all analyses there ever were instead of the newest events.
"""
_CHANGED_OF: Final = f"""
    SELECT r.number, {_BATCH} FROM unnest(%(teachers)s ::text[], %(after_batches)s ::bigint[]) WITH ORDINALITY
        AS r (teacher, after, number)
    CROSS JOIN LATERAL (
        SELECT * FROM ras_batch_results.batches
        WHERE user_id = r.teacher AND position > r.after ORDER BY position DESC LIMIT %(limit)s
    ) b
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


class Resume(NamedTuple):
    """A client that comes back: whose it is, the last id that it has, and where its stream begins again."""

    teacher: str
    known: StreamId
    to: StreamId


class Missed(NamedTuple):
    """What a client missed: notifications, and read marks and states of batches; None where it is too much.

    Nothing of it is valid where the id is not of this history (`is_known`); `here` is then where to begin.
    """

    here: StreamId
    is_known: bool
    notifications: list[Message] | None
    states: list[Message] | None


class Feed:
    """Reads for one process. Raises psycopg's errors when the database is unavailable."""

    def __init__(self, ask: Ask, log: NotificationLog, outlines: Outlines) -> None:
        self._ask = ask
        self._log = log
        self._outlines = outlines

    async def look(self, known: StreamId | None = None) -> Look:
        """Return how far the read models are; `known` is an id that may be of another history."""
        [look] = await self._looks([known])
        return look

    async def _looks(self, knowns: Sequence[StreamId | None]) -> list[Look]:
        proven = sorted({known.epoch.proven for known in knowns if known is not None})
        rows = await self._ask(_LOOK, {"known": proven})
        if not rows:
            nothing = StreamId(Epoch(0, 0, 0, "0" * 12), 0, 0)  # before `ras rebuild`
            return [Look(nothing, is_same_log=True) for _ in knowns]
        row = rows[0]
        epoch = Epoch(row["inbox_generation"], row["batches_generation"], row["proven"], row["fingerprint"])
        here = StreamId(epoch, row["inbox"], row["batches"])
        prints = dict(zip(proven, row["known_fingerprints"], strict=True))
        return [
            Look(here, known is None or prints[known.epoch.proven] == known.epoch.fingerprint)
            for known in knowns
        ]

    async def inbox_events(self, after: StreamId, to: StreamId) -> tuple[list[tuple[str, Message]], int]:
        """Return teachers and messages for what the inbox got after one place, and how far that reaches."""
        found = await self._log.read(after.inbox, _SLICE_EVENTS, to=to.inbox)
        messages = [
            from_event(each, StreamId(to.epoch, each.notification_id, after.batches)) for each in found.events
        ]
        return messages, max(found.reached, after.inbox)

    async def missed(self, resumes: Sequence[Resume]) -> list[Missed]:
        """Return what each of these clients missed, in their order."""
        looks = await self._looks([each.known for each in resumes])
        known = [each for each, look in zip(resumes, looks, strict=True) if look.continues(each.known)]
        notifications = iter(await self._notifications(known))
        states = iter(await self._missed_states(known))
        return [
            Missed(look.here, True, next(notifications), next(states))
            if look.continues(each.known)
            else Missed(look.here, False, None, None)
            for each, look in zip(resumes, looks, strict=True)
        ]

    async def _notifications(self, resumes: Sequence[Resume]) -> list[list[Message] | None]:
        rows = await self._of_each(_GAPS, _behind(resumes), limit=_GAP_LIMIT + 1)
        return [
            None
            if len(rows[each]) > _GAP_LIMIT
            else [
                from_row(row, StreamId(each.to.epoch, row["position"], each.known.batches))
                for row in rows[each]
            ]
            for each in resumes
        ]

    async def _missed_states(self, resumes: Sequence[Resume]) -> list[list[Message] | None]:
        """Return what changed without being a notification: read marks, and how batches stand now.

        The ids are those of before: a client that gets a part only gets all of it next time. None where it is too much.
        """
        marks = await self._of_each(_READ_MARKS, _behind(resumes), limit=_MARKS)
        changed = await self._of_each(_CHANGED_OF, resumes, limit=_GAP_LIMIT + 1)
        few = [each for each in resumes if len(changed[each]) <= _GAP_LIMIT]
        outlines = await self._outlines_of([row for each in few for row in changed[each]])
        found: list[list[Message] | None] = []
        for each in resumes:
            if len(changed[each]) > _GAP_LIMIT:
                found.append(None)
                continue
            at = each.to._replace(batches=min(each.known.batches, each.to.batches))
            states = [now for _, _, now in _states(changed[each], outlines, at)]
            if each.known.inbox < each.to.inbox:
                read = [str(row["notification_id"]) for row in marks[each]]
                states.insert(0, message("notifications_read", at, {"notification_ids": read}))
            found.append(states)
        return found

    async def _of_each(self, query: str, resumes: Sequence[Resume], *, limit: int) -> dict[Resume, list[Any]]:
        """Ask for all teachers at once and return the rows of each; equal requests have equal rows."""
        found: dict[Resume, list[Any]] = defaultdict(list)
        if asked := list(dict.fromkeys(resumes)):
            parameters = {
                "teachers": [each.teacher for each in asked],
                "after": [each.known.inbox for each in asked],
                "to": [each.to.inbox for each in asked],
                "after_batches": [each.known.batches for each in asked],
                "limit": limit,
            }
            for row in await self._ask(query, parameters):
                found[asked[row["number"] - 1]].append(row)
        return found

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
        at = StreamId(to.epoch, after.inbox, after.batches)
        return _states(rows, await self._outlines_of(rows), at), reached

    async def _outlines_of(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, BatchStatus]:
        return await self._outlines([row["batch_id"] for row in rows]) if rows else {}

    async def close(self) -> None:
        """Close the connection that reads the log."""
        await self._log.close()


def _states(
    rows: Sequence[Mapping[str, Any]], outlines: Mapping[str, BatchStatus], at: StreamId
) -> list[tuple[str, str, Message]]:
    """Return teacher, batch and state of the batches in `rows` that are known."""
    return [
        (row["user_id"], row["batch_id"], state(outlines[row["batch_id"]], row, at))
        for row in rows
        if row["batch_id"] in outlines
    ]


def _behind(resumes: Sequence[Resume]) -> list[Resume]:
    """Return the clients for whom the inbox has moved."""
    return [each for each in resumes if each.known.inbox < each.to.inbox]
