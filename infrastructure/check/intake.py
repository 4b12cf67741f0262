"""The account of what came in: messages taken in = recorded + recognised repeats + dead letters + parked.

The left side is what the ingesters counted, in the transaction of each micro-batch. The right side is counted anew
from the events: each names in its causation the message that it comes from. A message that was put aside
and taken in later counts as put aside, as it was at intake. Counting is done by the database, because all
that is wanted of millions of events is a few numbers a partition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from psycopg import Connection
from psycopg.rows import TupleRow

from application.conservation import Account, Finding, Report
from domain.batch_events import PUBLISHED_EVENTS, MessageDrained, MessageParked
from domain.dead_letters import DeadLetterDiscarded, DeadLetterRetried, MessageDeadLettered
from domain.inbox import NotificationRead
from infrastructure.eventstore.catalogue import EVENT_CLASSES, event_codec

_OUR_OWN: Final = (
    *PUBLISHED_EVENTS,
    NotificationRead,
    MessageDrained,
    DeadLetterRetried,
    DeadLetterDiscarded,
)
"""Events that no message told us: decided by ourselves, or by a person."""

# A damaged state must not end the account of all others, so nothing in here can fail: what is no JSON has no
# origin. LATIN1 takes every byte but zero, and where messages lie is told in ASCII; U+0000, which JSON may
# hold, is nothing that PostgreSQL takes out of it. OFFSET 0: or each state would be read once for each column.
_MESSAGES: Final = r"""
    WITH texts AS (
        SELECT originator_id, originator_version, topic AS kind, replace(convert_from(
            CASE WHEN position('\x00'::bytea IN state) = 0 THEN state ELSE '' END, 'LATIN1'
        ), '\u0000', '\u0020') AS state
        FROM ras.stored_events
        WHERE notification_id > %(since)s AND notification_id <= %(to)s AND topic = ANY(%(facts)s) OFFSET 0
    ), facts AS (
        SELECT originator_id, originator_version, kind,
            CASE WHEN pg_input_is_valid(state, 'jsonb') THEN state::jsonb -> 'causation' END AS origin
        FROM texts OFFSET 0
    ), origins AS (
        SELECT originator_id, originator_version, kind, origin ->> 'topic' AS topic,
            substring(origin ->> 'partition' FROM '^[0-9]{1,9}$')::int AS partition,
            substring(origin ->> 'offset' FROM '^[0-9]{1,18}$')::bigint AS "offset"
        FROM facts
    ), told AS (
        SELECT * FROM origins WHERE topic IS NOT NULL AND partition IS NOT NULL AND "offset" IS NOT NULL
    )
"""
_PUT_ASIDE: Final = """EXISTS (SELECT FROM ras_dead_letters.letters l
    WHERE l.topic = t.topic AND l.partition = t.partition AND l."offset" = t."offset" AND l.position <= %(since)s)"""
_COUNT: Final = (
    _MESSAGES
    + """
    SELECT topic, partition,
        count(*) FILTER (WHERE NOT dead AND NOT parked AND NOT put_aside) AS recorded,
        count(*) FILTER (WHERE dead) AS dead_lettered,
        count(*) FILTER (WHERE parked AND NOT dead) AS parked
    FROM (
        SELECT topic, partition, "offset",
            bool_or(kind = ANY(%(dead)s)) AS dead, bool_or(kind = ANY(%(parked)s)) AS parked,
            {put_aside} AS put_aside
        FROM told t GROUP BY topic, partition, "offset"
    ) messages GROUP BY topic, partition
"""
)
_TWICE: Final = (
    _MESSAGES
    + """
    SELECT originator_id, max(originator_version) AS version, topic, partition, "offset"
    FROM told WHERE NOT kind = ANY(%(dead)s) AND NOT kind = ANY(%(parked)s)
    GROUP BY originator_id, topic, partition, "offset" HAVING count(*) > 1 LIMIT 1001
"""
)
_BEYOND: Final = (
    _MESSAGES
    + """
    SELECT originator_id, originator_version, told.topic, told.partition, told."offset"
    FROM told LEFT JOIN ras.positions p ON p.name = 'intake/' || told.topic || '/' || told.partition
    WHERE told."offset" > coalesce(p.position, -1) LIMIT 1001
"""
)


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
    # Before the first event nothing was put aside; the letters may then as well be gone.
    query = _COUNT.replace("{put_aside}", _PUT_ASIDE if since else "false")
    rows = connection.execute(query, _parameters(since, to)).fetchall()
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
        report.accounts.append(Account(f"intake/{name}", taken_in, accounted, "messages taken in"))
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
        Account("intake, in total", expected_in_total, found_in_total, "messages taken in")
    )
    parameters = _parameters(report.since, report.position)
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
            f"It comes from {topic}/{partition}/{offset}, which no ingester has taken in.",
        )
        for stream, version, topic, partition, offset in connection.execute(_BEYOND, parameters)
    )


def _parameters(since: int, to: int) -> dict[str, object]:
    codec = event_codec()
    facts = [event.topic for event in EVENT_CLASSES if event not in _OUR_OWN]
    return {
        "since": since,
        "to": to,
        "facts": list(codec.stored_under(facts)),
        "dead": list(codec.stored_under([MessageDeadLettered.topic])),
        "parked": list(codec.stored_under([MessageParked.topic])),
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
