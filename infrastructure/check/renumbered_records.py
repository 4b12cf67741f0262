"""Records that were sent before a restore: an event calls for the same message now, under another event id.

A store that was restored ingests the same messages again, in another order: an announcement gets another
place in its stream, and so another id; its old id may stand for another message now. The publisher leaves out
what was sent. Here the records of then and the events of now are matched by what they say, one to one.

Progress is how a batch stood in between: facts that arrive in another order take other steps. After a restore,
steps of which only one side knows are no fault.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson
from aiokafka.structs import ConsumerRecord

from application.envelopes import OutgoingMessage, outgoing_messages
from application.restore import announcement_digest
from application.topics import TEACHER_NOTIFICATION_REQUESTED
from domain.notifications import BATCH_STATUS_UPDATED
from infrastructure.check.readable import readable
from infrastructure.check.record_contents import differences, event_time, id_of
from infrastructure.eventstore.log import NotificationLog
from infrastructure.kafka.committed_records import Partition, committed_records, is_ours

Record = tuple[str, str]
"""Topic and event id."""

_PROGRESS: Final = f'"{BATCH_STATUS_UPDATED}"'.encode()


@dataclass(slots=True)
class Matches:
    """How records and events that differ in id or content belong together."""

    sent_before: dict[Record, Record] = field(default_factory=dict)
    """By record, the record that its event calls for now."""
    steps_there: set[Record] = field(default_factory=set)
    """Records of progress that no event calls for now."""
    steps_due: set[Record] = field(default_factory=set)
    """Records of progress that events call for now, and that were not sent again."""
    altered: dict[Record, str] = field(default_factory=dict)
    """Records that are not what their event calls for, and in what they differ."""


async def match(
    log: NotificationLog,
    bootstrap_servers: str,
    *,
    missing: Set[Record],
    extra: Set[Record],
    suspects: Set[Record],
    since: int,
    offsets: Mapping[Partition, int],
) -> Matches:
    """Match the `extra` records with the `missing` ones; `suspects` are on both sides, with other content.

    Events are looked for after the notification id `since`, records from `offsets` on.
    """
    if not suspects and not (missing and extra):
        return Matches()
    due = {record: _outline(one) async for record, one in _due(log, since, missing | suspects)}
    there = {
        record: _outline(one) async for record, one in _there(bootstrap_servers, offsets, extra | suspects)
    }
    found, altered = matched(due, there, suspects)
    found.altered = await _differences(log, bootstrap_servers, altered, since, offsets)
    return found


class Outline(NamedTuple):
    """What tells one message from another, without its content."""

    said: object
    key: bytes | None
    time: object
    is_step: bool


def matched(
    due: dict[Record, Outline], there: dict[Record, Outline], suspects: Set[Record]
) -> tuple[Matches, set[Record]]:
    """Match what events call for with what is there, and return the ids under which something altered is.

    Takes out of `due` and `there` what it has settled.
    """
    is_restored = False
    altered = set()
    for record in suspects & due.keys() & there.keys():
        now, then = due[record], there[record]
        if now.said == then.said:
            # The same said at another time was sent before the restore.
            is_sent_before = now.key == then.key and now.time != then.time
            is_restored |= is_sent_before
            if not is_sent_before:
                altered.add(record)
            del due[record], there[record]
    waiting: dict[object, list[Record]] = defaultdict(list)
    for record, now in due.items():
        waiting[now.key, now.said].append(record)
    sent_before = {
        record: waiting[then.key, then.said].pop()
        for record, then in there.items()
        if then.said is not None and waiting[then.key, then.said]
    }
    is_restored |= bool(sent_before)
    for record in sent_before:
        del there[record]
    for record in sent_before.values():
        del due[record]
    steps_there = {record for record, then in there.items() if is_restored and then.is_step}
    steps_due = {record for record, now in due.items() if is_restored and now.is_step}
    # An id that stood for one message and stands for another: what is left of either side is not excused.
    altered |= suspects & ((there.keys() - steps_there) | (due.keys() - steps_due))
    return Matches(sent_before, steps_there - altered, steps_due - altered), altered


def _outline(one: OutgoingMessage | ConsumerRecord) -> Outline:
    is_step = _PROGRESS in (one.value or b"")
    return Outline(_said(one.topic, one.value), one.key, event_time(one.value), is_step)


def _said(topic: str, value: bytes | None) -> object:
    """Return what a record says, without what differs between two tellings; None where that cannot be read."""
    digest = announcement_digest(value)
    if topic != TEACHER_NOTIFICATION_REQUESTED or digest is not None:
        return None if digest is None else (topic, digest)
    try:
        data = orjson.loads(value or b"")["data"]
        return topic, data["notification_type"], data["teacher_id"], data["batch_id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


async def _differences(
    log: NotificationLog,
    bootstrap_servers: str,
    altered: Set[Record],
    since: int,
    offsets: Mapping[Partition, int],
) -> dict[Record, str]:
    if not altered:
        return {}
    due = {record: one async for record, one in _due(log, since, altered)}
    there = {record: one async for record, one in _there(bootstrap_servers, offsets, altered)}
    return {
        record: ", ".join(differences(due[record], there[record])) for record in due.keys() & there.keys()
    }


async def _due(
    log: NotificationLog, since: int, wanted: Set[Record]
) -> AsyncIterator[tuple[Record, OutgoingMessage]]:
    async for recorded in readable(log, since):
        for message in outgoing_messages(recorded.event):
            record = (message.topic, dict(message.headers)["event_id"].decode())
            if record in wanted:
                yield record, message


async def _there(
    bootstrap_servers: str, offsets: Mapping[Partition, int], wanted: Set[Record]
) -> AsyncIterator[tuple[Record, ConsumerRecord]]:
    seen = set()
    async with committed_records(bootstrap_servers, sorted({topic for topic, _ in wanted})) as topics:
        async for sent in topics.read(offsets):
            record = (sent.topic, id_of(sent))
            if record in wanted and record not in seen and is_ours(sent):
                seen.add(record)
                yield record, sent
