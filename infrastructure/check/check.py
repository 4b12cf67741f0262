"""`ras check`: takes all accounts, one after the other, while the service runs.

Each account is taken in a snapshot of its own, so nothing has to stand still. A whole check looks at
everything; an incremental one at what has come since the last that found everything in order, whose place and
sums are kept in `ras.check_state`. A check that finds something leaves the state where it was, so that the
next one finds it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow
from sqlalchemy import text

from application.conservation import Report
from application.envelopes import OUTBOX_EVENTS
from infrastructure.check.intake import Counted, Counts, check_intake, count_messages, gaps
from infrastructure.check.lost_messages import unaccounted
from infrastructure.check.out_topics import Reached, check_out_topics
from infrastructure.check.read_models import ReadModelCheck, hold_sides, orphans, scratch_tables, usable
from infrastructure.check.state import CheckState, read_state, write_state
from infrastructure.check.streams import next_portion
from infrastructure.errors import OperatorError
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.publisher_position import PositionCopy
from infrastructure.postgres.connections import connect_blocking, maintenance_engine
from infrastructure.publishing.parked_messages import from_marks
from infrastructure.publishing.position_topic import read_position, restored
from infrastructure.settings import Servers

_LOCK_KEY: Final = 0x52415302
"""Advisory lock: one check at a time keeps its state."""

_END_WITH_CLIENT: Final = "SET client_connection_check_interval = '2s'"
"""A statement of minutes whose client was ended ends too, and lets go of the lock."""

_BY_HASH: Final = "SET LOCAL enable_nestloop = off"
"""The planner knows little of what is inside events, and a loop over millions of them must not come of a guess."""

Progress = Callable[[str, int, int], None]
"""Told what is being looked at, how much of it is done, and how much there is."""


class CheckUnderWayError(OperatorError):
    """Another check runs on this database: wait for its end."""


_OLDEST_SERVER: Final = 160_000
"""PostgreSQL 16: it can tell a damaged state from JSON without an error (`pg_input_is_valid`)."""


async def check(servers: Servers, transactional_id: str, *, incremental: bool, progress: Progress) -> Report:
    """Hold all accounts against each other; the out-topics only where `servers` names a broker.

    Raises CheckUnderWayError, and the drivers' errors when a server is unavailable.
    """
    connection = await asyncio.to_thread(_connected, servers.database_url)
    try:
        report = Report()
        since = await asyncio.to_thread(_begin, connection, report, incremental=incremental)
        counts = await asyncio.to_thread(_check_store, connection, since, report, progress)
        await asyncio.to_thread(_check_read_models, servers.database_url, report, progress)
        reached = await _check_what_went_out(servers, transactional_id, since.reached, report, progress)
        if report.consistent:
            state = CheckState(report.position, counts, reached)
            await asyncio.to_thread(_keep, connection, state, report)
        return report
    finally:
        await asyncio.to_thread(_end, connection)


def _connected(database_url: str) -> Connection[TupleRow]:
    connection = connect_blocking(database_url)
    if connection.info.server_version < _OLDEST_SERVER:
        raise OperatorError(
            "`ras check` needs PostgreSQL 16 or newer. All roles and the other commands work with this server."
        )
    connection.execute(_END_WITH_CLIENT)
    return connection


def _end(connection: Connection[TupleRow]) -> None:
    """Close the connection. The lock is let go before: the server may notice the end only after the next check began."""
    with connection, suppress(psycopg.Error):
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK_KEY,))


def _begin(connection: Connection[TupleRow], report: Report, *, incremental: bool) -> CheckState:
    """Return where to begin, and note it in the report. Raises CheckUnderWayError."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone()
    if row != (True,):
        raise CheckUnderWayError("Another check is under way on this database; wait until it has ended.")
    if not incremental:
        return CheckState()
    since, sentence = read_state(connection, _head(connection))
    report.since = since.position
    report.notes += [sentence] if sentence else []
    return since


def _head(connection: Connection[TupleRow]) -> int:
    row = connection.execute("SELECT coalesce(max(notification_id), 0) FROM ras.stored_events").fetchone()
    return int(row[0]) if row else 0


def _keep(connection: Connection[TupleRow], state: CheckState, report: Report) -> None:
    """Keep the state for the next check. A user who may only read gets a note: the report is complete without it."""
    try:
        write_state(connection, state)
    except psycopg.errors.InsufficientPrivilege:
        report.notes.append(
            "This database user may not write ras.check_state: the next incremental check begins where this did."
        )


def _check_store(
    connection: Connection[TupleRow], since: CheckState, report: Report, progress: Progress
) -> Counts:
    progress("messages and their events", 0, 1)
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        connection.execute(_BY_HASH)
        report.position = _head(connection)
        counts = dict(since.counts)
        for partition, counted in count_messages(connection, since.position, report.position).items():
            counts[partition] = counts.get(partition, Counted()).plus(counted)
        check_intake(connection, report, counts)
        report.found(unaccounted(connection, report.position, counts))
        report.found(gaps(connection, since.position, report.position))
    progress("messages and their events", 1, 1)
    return counts


def _check_read_models(database_url: str, report: Report, progress: Progress) -> None:
    what = "read models"
    engine = maintenance_engine(database_url)
    with engine.connect() as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        connection.execute(text(_END_WITH_CLIENT))
        total = connection.execute(
            text(
                "SELECT count(DISTINCT originator_id) FROM ras.stored_events"
                " WHERE notification_id > :since AND notification_id <= :to"
            ),
            {"since": report.since, "to": report.position},
        ).scalar_one()
        connection.commit()
        scratch = scratch_tables(connection)
        models, unfit = usable(connection)
        report.found(unfit)
        connection.commit()
        checker = ReadModelCheck(event_codec(), models)
        done, after = 0, ""
        progress(what, 0, total)
        hold_sides(connection, models)
        while some := next_portion(connection, report.since, report.position, after):
            report.found(checker.portion(connection, scratch, some))
            connection.commit()
            hold_sides(connection, models)
            done, after = done + len(some), some[-1]
            progress(what, done, total)
        if not report.since:
            report.found(orphans(connection, models))
    checker.accounts(report)


async def _check_what_went_out(
    servers: Servers, transactional_id: str, since: Reached, report: Report, progress: Progress
) -> Reached:
    what = "records of the out-topics"
    if not servers.bootstrap_servers:
        report.notes.append("RAS_KAFKA_BOOTSTRAP_SERVERS is not set: the out-topics were not looked at.")
        return since
    progress(what, 0, 1)
    copy = PositionCopy(servers.database_url, transactional_id)
    log = NotificationLog(servers.database_url, event_codec(), [event.topic for event in OUTBOX_EVENTS])
    try:
        published = await copy.read()
        position = await read_position(servers.bootstrap_servers, transactional_id)
        if (complaint := await restored(position, copy, await log.head())) is not None:
            report.notes.append(complaint)
        reached = await check_out_topics(
            log,
            servers.bootstrap_servers,
            published,
            since,
            report,
            not_sent=await copy.not_sent(),
            parked={(each.topic, each.notification_id) for each in from_marks(await copy.parked())},
        )
    finally:
        await copy.close()
        await log.close()
    progress(what, 1, 1)
    return reached
