"""The account of what went out: publishable events = records on the out-topics, each exactly once, and with what
the event gives for key and content.

Read as consumers read, committed records only. The publisher goes on meanwhile, so three moments are told
apart: what was published before the reading began must be found, what has been published since may be,
and anything else has no business there. Where a topic's oldest records have expired, what is missing cannot
be told from what was deleted by age; a note says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from application.conservation import Account, Finding, Report
from application.envelopes import outgoing_messages
from application.topics import OUTPUT_TOPICS
from infrastructure.check.readable import readable
from infrastructure.check.record_contents import digest_of, id_of
from infrastructure.check.renumbered_records import Record, match
from infrastructure.eventstore.log import NotificationLog
from infrastructure.kafka.committed_records import Partition, committed_records, is_ours


@dataclass(slots=True)
class Reached:
    """How far the account goes: the notification id published last, and the next offset of each partition.

    `not_sent` is the last notification id of which a record may be missing. Once that is another one, the
    offsets may be those of another Kafka: after each start of `ras up` they are, for its own broker begins empty.
    """

    published: int = 0
    offsets: dict[Partition, int] = field(default_factory=dict)
    not_sent: int = 0


@dataclass(slots=True)
class _Seen:
    """The records of the out-topics: how often each was seen, where first, and whose beginnings have expired."""

    times: Counter[Record] = field(default_factory=Counter)
    places: dict[Record, tuple[int, int]] = field(default_factory=dict)
    digests: dict[Record, bytes] = field(default_factory=dict)
    ends: dict[Partition, int] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)

    def place(self, record: Record) -> str:
        partition, offset = self.places[record]
        return f"{record[0]}/{partition}/{offset}"


class _CalledFor(NamedTuple):
    """What an event calls for: its notification id, its stream and version, and the digest of the record."""

    position: int
    event: str
    digest: bytes


async def check_out_topics(
    log: NotificationLog,
    bootstrap_servers: str,
    published: int,
    since: Reached,
    report: Report,
    *,
    not_sent: Mapping[str, int],
    parked: Set[tuple[str, int]] = frozenset(),
) -> Reached:
    """Check the events after `since` up to the notification id `published`, which the publisher has reached.

    `not_sent` tells by topic up to which notification id a record may be missing. Messages `parked`, by topic and notification
    id, are not sent yet; the next check goes on before the first of them.

    Raises aiokafka's errors when the broker is unavailable. Returns where the next check goes on.
    """
    seen, since = await _read(bootstrap_servers, since, not_sent=max(not_sent.values(), default=0))
    expected = await _records(log, since.published, published)
    early = await _records(log, published, await log.head())
    again = min([published, *(event - 1 for _, event in parked)])
    later = {record for record, due in expected.items() if due.position > again}
    waiting = {record for record, due in expected.items() if (record[0], due.position) in parked}
    if waiting:
        report.notes.append(f"{len(waiting)} records are parked: `ras parked list` names what they wait for.")
        early |= {record: expected.pop(record) for record in waiting}
    matches = await match(
        log,
        bootstrap_servers,
        missing=expected.keys() - seen.times.keys(),
        extra=seen.times.keys() - expected.keys() - early.keys(),
        suspects={
            record for record, due in expected.items() if seen.digests.get(record, due.digest) != due.digest
        },
        since=since.published,
        offsets=since.offsets,
    )
    if matches.sent_before:
        report.notes.append(
            f"{len(matches.sent_before)} records were sent before a restore of the database, under the event ids of "
            "that time."
        )
    report.found(
        Finding(
            record[0],
            record[1],
            f"The record of {expected[record].event} ({seen.place(record)}) is not what the event calls for: it "
            f"differs in {what}.",
        )
        for record, what in sorted(matches.altered.items())
    )
    for topic in OUTPUT_TOPICS:
        due = {record for record in expected if record[0] == topic}
        there = {record for record in seen.times if record[0] == topic}
        missing = due - there - set(matches.sent_before.values())
        if topic in seen.expired and missing:
            report.notes.append(
                f"{topic}: the oldest records have expired in Kafka; {len(missing)} older than the rest were not checked."
            )
            due -= missing
            missing = set()
        excused = {record for record in missing if expected[record].position <= not_sent.get(topic, 0)}
        if excused:
            report.notes.append(
                f"{topic}: {len(excused)} records of events up to {not_sent[topic]} are not in Kafka and are not expected "
                "there: publishing resumed after them."
            )
            due -= excused
            missing -= excused
        extra = there - due - early.keys() - matches.sent_before.keys()
        steps_there = {record for record in matches.steps_there if record[0] == topic}
        steps_due = {record for record in matches.steps_due if record[0] == topic} & due
        if steps_there or steps_due:
            report.notes.append(
                f"{topic}: {len(steps_there)} steps of progress were sent before the restore only, and "
                f"{len(steps_due)} were not sent again."
            )
        extra -= steps_there
        missing -= steps_due
        report.found(
            Finding(topic, event_id, f"The record of {expected[topic, event_id].event} is missing.")
            for _, event_id in sorted(missing)
        )
        report.found(
            Finding(topic, event_id, f"No event calls for this record ({seen.place((topic, event_id))}).")
            for _, event_id in sorted(extra)
        )
        twice = [record for record in sorted(there) if seen.times[record] > 1]
        report.found(
            Finding(
                topic,
                record[1],
                f"This record is there {seen.times[record]} times, first at {seen.place(record)}.",
            )
            for record in twice
        )
        found = sum(seen.times[record] for record in there - early.keys() - steps_there)
        report.accounts.append(Account(topic, len(due - steps_due), found, "records"))
    offsets = dict(seen.ends)
    for record in (early.keys() | later) & seen.places.keys():
        partition, offset = seen.places[record]
        offsets[record[0], partition] = min(offsets[record[0], partition], offset)
    return Reached(again, offsets, max(not_sent.values(), default=0))


async def _records(log: NotificationLog, after: int, to: int) -> dict[Record, _CalledFor]:
    """Return the records that the published events in (after, to] call for, and the event of each."""
    found: dict[Record, _CalledFor] = {}
    async for recorded in readable(log, after, to):
        event = recorded.event
        for message in outgoing_messages(event):
            event_id = dict(message.headers)["event_id"].decode()
            place = f"{event.originator_id}/{event.originator_version}"
            found[message.topic, event_id] = _CalledFor(recorded.notification_id, place, digest_of(message))
    return found


async def _read(bootstrap_servers: str, since: Reached, *, not_sent: int) -> tuple[_Seen, Reached]:
    """Return the records after `since`, or all of them if that was in another Kafka; and which of both."""
    seen = _Seen()
    async with committed_records(bootstrap_servers, OUTPUT_TOPICS) as there:
        shorter = any(there.ends.get(key, 0) < offset for key, offset in since.offsets.items())
        if shorter or not_sent != since.not_sent:
            since = Reached()
        seen.ends.update(there.ends)
        seen.expired |= {key[0] for key, first in there.first.items() if first > since.offsets.get(key, 0)}
        async for record in there.read(since.offsets):
            if not is_ours(record):
                continue
            key = (record.topic, id_of(record))
            seen.times[key] += 1
            if key not in seen.places:
                seen.places[key] = (record.partition, record.offset)
                seen.digests[key] = digest_of(record)
    return seen, since
