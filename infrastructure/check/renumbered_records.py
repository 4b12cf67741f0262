"""Records that were sent before a restore: an event calls for the same announcement now, under another event id.

A store that was restored ingests the same messages again, in another order: an announcement gets another
place in its stream, and so another id. The publisher leaves it out, because it was said. Here the record of
then and the event of now are brought together by what they say, one to one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import orjson

from application.envelopes import outgoing_messages
from application.restore import announcement_digest
from application.topics import TEACHER_NOTIFICATION_REQUESTED
from infrastructure.check.readable import readable
from infrastructure.eventstore.log import NotificationLog
from infrastructure.kafka.committed_records import Partition, committed_records, event_id_of, is_ours

Record = tuple[str, str]
"""Topic and event id."""


async def told_before(
    log: NotificationLog,
    bootstrap_servers: str,
    *,
    missing: Collection[Record],
    extra: Collection[Record],
    since: int,
    offsets: Mapping[Partition, int],
) -> dict[Record, Record]:
    """Return which of the `extra` records is there in place of which `missing` one.

    Events are looked for after the notification id `since`, records from `offsets` on.
    """
    if not missing or not extra:
        return {}
    calls: dict[tuple[str, object], list[Record]] = defaultdict(list)
    async for recorded in readable(log, since):
        for message in outgoing_messages(recorded.event):
            record = (message.topic, dict(message.headers)["event_id"].decode())
            if record in missing:
                calls[message.topic, said(message.topic, message.value)].append(record)
    pairs: dict[Record, Record] = {}
    async with committed_records(bootstrap_servers, sorted({topic for topic, _ in extra})) as there:
        async for found in there.read(offsets):
            record = (found.topic, event_id_of(found) or "")
            waiting = (
                calls.get((found.topic, said(found.topic, found.value)))
                if record in extra and is_ours(found)
                else None
            )
            if waiting and record not in pairs:
                pairs[record] = waiting.pop()
    return pairs


def said(topic: str, value: bytes | None) -> object:
    """Return what a record says, without what differs between two tellings."""
    if topic != TEACHER_NOTIFICATION_REQUESTED:
        return announcement_digest(value)
    # Both kinds of notification share a topic, and so an id may stand for the one kind then and for the other
    # now: which of them is there under another id cannot be told from what says that it is missing.
    try:
        data = orjson.loads(value or b"")["data"]
        return data["teacher_id"], data["batch_id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
