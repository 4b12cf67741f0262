"""The account of what came in: messages ingested = recorded + recognised repeats + dead letters + parked.

The left side is what the ingesters counted, in the transaction of each micro-batch. The right side is counted again
from the events: each names in its causation the message that it comes from. A message that was put aside
and ingested later counts as put aside, as it was at intake. Where a topic was recreated, or `ras up` began with an
empty broker, the same offsets stand for other messages (`infrastructure/eventstore/topic_epochs.py`): each log is
counted by itself, and only what came from the present one is held against the position in it.

Counting is done by the database, because all that is wanted of millions of events is a few numbers a partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from psycopg import Connection
from psycopg.rows import TupleRow

from application.conservation import Account, Finding, Report
from domain.batch_events import NOTIFIED_EVENTS, MessageDrained, MessageParked
from domain.dead_letters import (
    DeadLetterDiscarded,
    DeadLetterReplaced,
    DeadLetterRetried,
    MessageDeadLettered,
)
from domain.inbox import NotificationRead
from infrastructure.eventstore.event_registry import EVENT_CLASSES, event_codec
from infrastructure.eventstore.positions import FURTHEST_INTAKE

_OUR_OWN: Final = (
    *NOTIFIED_EVENTS,
    NotificationRead,
    MessageDrained,
    DeadLetterRetried,
    DeadLetterReplaced,
    DeadLetterDiscarded,
)
"""Events that no message told us: decided by ourselves, or by a person."""

_SETTLED: Final = (MessageDrained, DeadLetterRetried, DeadLetterReplaced)
"""Marks that a dead letter or parked message was ingested later: the events before it have the same time of receipt."""

# A damaged state must not end the account of all others, so nothing in here can fail: what is no JSON has no
# origin. LATIN1 takes every byte but zero, and where messages lie is told in ASCII; U+0000, which JSON may
# hold, is nothing that PostgreSQL takes out of it. Our own code writes the origin near the beginning of a state, and
# of a state of megabytes, a dead letter's, no more is read; of small ones all, which is quicker than the pattern.
# OFFSET 0: or each state would be read once for each column.
_ORIGINS: Final = r"""
    SELECT notification_id, originator_id, originator_version, kind, origin ->> 'topic' AS topic,
        substring(origin ->> 'partition' FROM '^[0-9]{1,9}$')::int AS partition,
        substring(origin ->> 'offset' FROM '^[0-9]{1,18}$')::bigint AS "offset",
        origin ->> 'received_at' AS received_at
    FROM (
        SELECT notification_id, originator_id, originator_version, kind,
            CASE WHEN pg_input_is_valid(state, 'jsonb') THEN state::jsonb -> 'causation' END AS origin
        FROM (
            SELECT notification_id, originator_id, originator_version, topic AS kind, coalesce(
                CASE WHEN octet_length(state) > 65536 AND position('\x00'::bytea IN substring(state FOR 1024)) = 0
                    THEN '{"causation":' || substring(convert_from(substring(state FOR 1024), 'LATIN1') FROM
                        '^{"happened_at":"[^"]*","causation":({"topic":"[^"]*","partition":[0-9]+,"offset":[0-9]+,"received_at":"[^"]*")'
                    ) || '}}' END,
                replace(convert_from(
                    CASE WHEN position('\x00'::bytea IN state) = 0 THEN state ELSE '' END, 'LATIN1'
                ), '\u0000', '\u0020')
            ) AS state
            FROM ras.stored_events
            WHERE notification_id > %(since)s AND notification_id <= %(to)s AND topic = ANY(%(KINDS)s) OFFSET 0
        ) texts OFFSET 0
    ) facts
"""
MESSAGES: Final = f"""
    WITH settled AS (
        SELECT DISTINCT topic, partition, "offset", received_at FROM ({_ORIGINS.replace("KINDS", "settled")}) s
    ), logs AS (
        SELECT name, array_agg(after ORDER BY after) AS begun FROM ras.log_beginnings GROUP BY name
    ), told AS (
        SELECT o.*, s.topic IS NOT NULL AS afterwards, coalesce(cardinality(l.begun), 0) AS last_log,
            coalesce(width_bucket(notification_id - 1, l.begun), 0) AS log
        FROM ({_ORIGINS.replace("KINDS", "facts")}) o
        LEFT JOIN settled s USING (topic, partition, "offset", received_at)
        LEFT JOIN logs l ON l.name = 'intake/' || o.topic || '/' || o.partition
        WHERE o.topic IS NOT NULL AND o.partition IS NOT NULL AND o."offset" IS NOT NULL
    )
"""
"""Begins a query of `told`: the events that messages led to, and where these messages lie."""

_COUNT: Final = (
    MESSAGES
    + """
    SELECT topic, partition,
        count(*) FILTER (WHERE NOT dead AND NOT parked) AS recorded,
        count(*) FILTER (WHERE dead) AS dead_lettered,
        count(*) FILTER (WHERE parked AND NOT dead) AS parked
    FROM (
        SELECT topic, partition, "offset", log,
            bool_or(kind = ANY(%(dead)s)) AS dead, bool_or(kind = ANY(%(parked)s)) AS parked
        FROM told WHERE NOT afterwards GROUP BY topic, partition, "offset", log
    ) messages GROUP BY topic, partition
"""
)
# A message speaks of one batch and one job at most, so it has one fact in one stream of each kind.
# Where a topic was recreated, what was put aside may lie in either log: then only what came directly is compared.
_TWICE: Final = (
    MESSAGES
    + """
    SELECT e.originator_id, e.originator_version, t.topic, t.partition, t."offset"
    FROM (
        SELECT max(notification_id) AS latest, topic, partition, "offset" FROM told
        WHERE NOT kind = ANY(%(dead)s) AND NOT kind = ANY(%(parked)s) AND (last_log = 0 OR NOT afterwards)
        GROUP BY split_part(originator_id, '-', 1), topic, partition, "offset", log
        HAVING count(*) > 1 LIMIT 1001
    ) t JOIN ras.stored_events e ON e.notification_id = t.latest
"""
)
_FURTHEST: Final = (
    f"LEFT JOIN ({FURTHEST_INTAKE}) p ON p.name = 'intake/' || told.topic || '/' || told.partition".replace(
        "%", "%%"
    )
)
_BEYOND: Final = (
    MESSAGES
    + f"""
    SELECT originator_id, originator_version, told.topic, told.partition, told."offset"
    FROM told {_FURTHEST}
    WHERE log = last_log AND (last_log = 0 OR NOT afterwards) AND told."offset" > coalesce(p.position, -1) LIMIT 1001
"""
)
_BEGUN_ANEW: Final = "SELECT count(DISTINCT name) FROM ras.log_beginnings WHERE name LIKE 'intake/%'"


class Counted(NamedTuple):
    """Messages of one topic-partition by what became of them."""

    recorded: int = 0
    dead_lettered: int = 0
    parked: int = 0

    def plus(self, other: Counted) -> Counted:
        """Return the sums."""
        return Counted(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


Counts = dict[tuple[str, int], Counted]


def count_messages(connection: Connection[TupleRow], since: int, to: int) -> Counts:
    """Return what the events after notification id `since`, up to `to`, say of messages."""
    rows = connection.execute(_COUNT, parameters_of(since, to)).fetchall()
    return {(topic, partition): Counted(*counts) for topic, partition, *counts in rows}


def check_intake(connection: Connection[TupleRow], report: Report, counts: Counts) -> None:
    """Hold `counts` (of all events up to the report's position) against what the ingesters counted."""
    rows = connection.execute(
        "SELECT topic, partition, taken_in, recorded, repeated, dead_lettered, parked FROM ras.intake_counts"
        " ORDER BY topic, partition"
    ).fetchall()
    known = {(row[0], row[1]): row[2:] for row in rows}
    expected_in_total = found_in_total = 0
    for partition in sorted(known.keys() | counts.keys()):
        name = f"{partition[0]}/{partition[1]}"
        taken_in, recorded, repeated, dead_lettered, parked = known.get(partition, (0, 0, 0, 0, 0))
        found = counts.get(partition, Counted())
        accounted = sum(found) + repeated
        report.accounts.append(Account(f"intake/{name}", taken_in, accounted, "messages ingested"))
        expected_in_total += taken_in
        found_in_total += accounted
        for kind, expected, here in (
            ("recorded", recorded, found.recorded),
            ("dead-lettered", dead_lettered, found.dead_lettered),
            ("parked", parked, found.parked),
        ):
            if expected != here:
                detail = (
                    f"The ingesters counted {expected} messages {kind}, the event store holds {here} of them."
                )
                report.found([Finding("intake", name, detail)])
    report.accounts.append(
        Account("intake, in total", expected_in_total, found_in_total, "messages ingested")
    )
    [again] = connection.execute(_BEGUN_ANEW).fetchone() or (0,)
    if again:
        report.notes.append(
            f"{again} topic-partitions were started again in Kafka: where the messages of before lay was not looked at."
        )
    parameters = parameters_of(report.since, report.position)
    report.found(
        Finding(
            "intake",
            f"{stream}/{version}",
            f"The message {topic}/{partition}/{offset} is recorded more than once.",
        )
        for stream, version, topic, partition, offset in connection.execute(_TWICE, parameters)
    )
    report.found(
        Finding(
            "intake",
            f"{stream}/{version}",
            f"It comes from {topic}/{partition}/{offset}, which no ingester has ingested.",
        )
        for stream, version, topic, partition, offset in connection.execute(_BEYOND, parameters)
    )


def parameters_of(since: int, to: int) -> dict[str, object]:
    """Return the parameters of MESSAGES for the events after notification id `since`, up to `to`."""
    codec = event_codec()
    facts = [event.topic for event in EVENT_CLASSES if event not in _OUR_OWN]
    return {
        "since": since,
        "to": to,
        "facts": list(codec.stored_under(facts)),
        "dead": list(codec.stored_under([MessageDeadLettered.topic])),
        "parked": list(codec.stored_under([MessageParked.topic])),
        "settled": list(codec.stored_under([event.topic for event in _SETTLED])),
    }


def gaps(connection: Connection[TupleRow], since: int, to: int) -> Iterator[Finding]:
    """Yield the streams, of those that grew after `since`, in which a version is missing."""
    rows = connection.execute(
        """
        SELECT originator_id, min(originator_version), max(originator_version), count(*)
        FROM ras.stored_events
        WHERE notification_id <= %(to)s AND (%(since)s = 0 OR originator_id IN (
            SELECT originator_id FROM ras.stored_events
            WHERE notification_id > %(since)s AND notification_id <= %(to)s))
        GROUP BY originator_id
        HAVING min(originator_version) <> 1 OR max(originator_version) <> count(*) LIMIT 1001
        """,
        {"since": since, "to": to},
    ).fetchall()
    for stream, _, last, _count in rows:
        versions = connection.execute(
            "SELECT v FROM generate_series(1, %s) v WHERE NOT EXISTS (SELECT FROM ras.stored_events"
            " WHERE originator_id = %s AND originator_version = v) ORDER BY v LIMIT 10",
            (last, stream),
        ).fetchall()
        for (version,) in versions:
            yield Finding("event store", f"{stream}/{version}", "This event is missing from its stream.")
