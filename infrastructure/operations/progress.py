"""How far each reader is: positions from the store, ends from Kafka and the log, reports of the roles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg
from aiokafka.errors import KafkaConnectionError, KafkaError
from psycopg.rows import TupleRow

from application.envelopes import OUTBOX_EVENTS
from infrastructure.eventstore.codec import UndecodableEventError
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.positions import EVERY, projection_position
from infrastructure.eventstore.publisher_position import publisher_position
from infrastructure.kafka import faults
from infrastructure.kafka.backlog import Backlog, FirstMessage, Partition
from infrastructure.kafka.topic_advice import topic_advice
from infrastructure.postgres.connections import connect
from infrastructure.postgres.role_reports import SILENT_AFTER, RoleReport, read_reports
from infrastructure.rebuild.under_way import RebuildUnderWay, read_rebuilds
from infrastructure.settings import Servers
from projections.catalogue import PROJECTIONS

_KAFKA_TIMEOUT_S = 5.0
_INTAKE = "intake/"


@dataclass(frozen=True, slots=True)
class Progress:
    """One reader: where it is, where its source ends, how fast it goes, and what last went wrong.

    `position` and `head` are Kafka offsets for ingest, notification ids otherwise. `lag` counts messages or
    events not yet handled (events to 100,000), `lag_seconds` is the age of the first of them. `condition` is
    the role's own word, `silent` when it has not spoken for half a minute; of a rebuild its state, or `interrupted`
    where nobody is at work on it; `ahead of the store` (or `of Kafka`) when the position lies beyond the end: it
    was reached elsewhere, or something was restored. None where nothing is known.
    """

    role: str
    source: str
    position: int | None
    head: int | None
    lag: int | None
    lag_seconds: float | None
    per_second: float | None
    condition: str | None
    owner: str | None
    last_error: str | None
    last_error_at: str | None
    updated_at: str | None


async def read_progress(servers: Servers, transactional_id: str) -> tuple[list[Progress], list[str]]:
    """Return everybody's progress, and what kept us from knowing all of it.

    Raises psycopg.OperationalError when the database is unavailable.
    """
    async with await connect(servers.database_url) as connection:
        cursor = await connection.execute(EVERY)
        stored = {name: (int(position), moved) for name, position, moved in await cursor.fetchall()}
        reports = await read_reports(connection)
        head = await _head(connection)
        rebuilds = await read_rebuilds(connection)
    intake = {
        _partition(name): position for name, (position, _) in stored.items() if name.startswith(_INTAKE)
    }
    ends, first_messages, complaints = await _backlog(servers.bootstrap_servers, intake)
    if not complaints:
        complaints = await _advice(servers.bootstrap_servers, is_first_question=not intake)
    rows = []
    for (topic, number), position in intake.items():
        end = ends.get((topic, number))
        last = None if end is None else end - 1
        first = first_messages.get((topic, number))
        lag: int | None
        if (topic, number) in first_messages:
            lag = 0 if first is None or last is None else max(0, last - first.offset + 1)
        else:
            lag = None if last is None else max(0, last - position)
        age = 0.0 if lag == 0 else _age_s(first and first.sent_at)
        source = f"{topic}/{number}"
        moved = stored[f"{_INTAKE}{source}"][1]
        rows.append(_row("ingest", source, position, last, lag, age, _of_partition(reports, source), moved))
    if not intake and "ingester" in reports:
        rows.append(_row("ingest", "no partition yet", None, None, None, None, reports["ingester"], None))
    for role, source, name, reader, topics in _followers(transactional_id):
        known, moved = stored.get(name, (None, None))
        behind, age = await _behind(servers.database_url, topics, known or 0)
        rows.append(_row(role, source, known, head, behind, age, reports.get(reader), moved))
    rows += [await _of_rebuild(servers.database_url, rebuild, head) for rebuild in rebuilds]
    return rows, complaints


async def _of_rebuild(database_url: str, rebuild: RebuildUnderWay, head: int) -> Progress:
    """Return how far a rebuild is. It reports to nobody: what the journal and its lock tell is all there is."""
    topics = {projection.name: projection.topics for projection in PROJECTIONS}.get(rebuild.name, ())
    behind = (await _behind(database_url, list(topics), rebuild.position))[0] if topics else None
    row = _row("rebuild", rebuild.name, rebuild.position, head, behind, None, None, rebuild.updated_at)
    condition = rebuild.state.replace("_", " ") if rebuild.is_at_work else "interrupted"
    return replace(row, condition=condition)


def _of_partition(reports: Mapping[str, RoleReport], source: str) -> RoleReport | None:
    """Return what its ingesters say of a partition; else what any ingester says, who may not get at Kafka."""
    own = [r for reader, r in reports.items() if reader == source or reader.startswith(f"{source}/")]
    speaking = [report for report in own if report.age <= SILENT_AFTER]
    if not speaking:
        return reports.get("ingester", reports.get(source))
    # The one that is not well says most; else the one that has spoken last.
    first = min(speaking, key=lambda report: (report.condition in {"ok", "stopped"}, report.age))
    others = len({report.owner for report in speaking}) - 1
    return first._replace(
        owner=f"{first.owner} and {others} more" if others else first.owner,
        per_second=sum(report.per_second for report in speaking),
    )


def _followers(transactional_id: str) -> Iterator[tuple[str, str, str, str, list[str]]]:
    """Yield role, source, name of the position, name in reports, and topics of every follower."""
    published = [event.topic for event in OUTBOX_EVENTS]
    yield "publish", transactional_id, publisher_position(transactional_id), "publisher", published
    for projection in PROJECTIONS:
        position = projection_position(projection.name)
        yield "project", projection.name, position, projection.name, list(projection.topics)


async def _head(connection: psycopg.AsyncConnection[TupleRow]) -> int:
    cursor = await connection.execute("SELECT coalesce(max(notification_id), 0) FROM ras.stored_events")
    return int((await cursor.fetchone() or (0,))[0])


async def _behind(database_url: str, topics: list[str], position: int) -> tuple[int, float | None]:
    """Return how many events of `topics` lie after `position`, and the age of the first in seconds."""
    log = NotificationLog(database_url, event_codec(), topics)
    try:
        count = await log.count_after(position)
        if not count:
            return 0, 0.0
        first = (await log.read(position, 1)).events
    except UndecodableEventError:
        return count, None  # an event that this release cannot read: its age is the least that is wrong
    finally:
        await log.close()
    return count, _age_s(first[0].event.causation.received_at) if first else None


async def _backlog(
    bootstrap_servers: str, positions: Mapping[Partition, int]
) -> tuple[dict[Partition, int], dict[Partition, FirstMessage | None], list[str]]:
    """Return ends, the first messages not ingested, and what kept us from asking."""
    if not bootstrap_servers:
        return {}, {}, ["RAS_KAFKA_BOOTSTRAP_SERVERS is not set: the ends of the topics are not known."]
    if not positions:
        return {}, {}, []
    backlog = Backlog(bootstrap_servers)
    ends: dict[Partition, int] = {}
    try:
        async with asyncio.timeout(_KAFKA_TIMEOUT_S):
            await backlog.start()
            ends = await backlog.ends(list(positions))
            wanted = {p: positions[p] + 1 for p, end in ends.items() if positions[p] + 1 < end}
            return ends, await backlog.first_messages(wanted, ends), []
    except (KafkaError, TimeoutError) as error:
        return ends, {}, [faults.sentence(error)]
    finally:
        await backlog.stop()


async def _advice(bootstrap_servers: str, *, is_first_question: bool) -> list[str]:
    """Return what is wrong with the topics that RAS writes; what cannot be known is left out.

    Where Kafka has not been asked before, that it does not answer is something to know.
    """
    if not bootstrap_servers:
        return []
    try:
        async with asyncio.timeout(_KAFKA_TIMEOUT_S):
            return await topic_advice(bootstrap_servers)
    except (KafkaConnectionError, TimeoutError, OSError) as error:
        return [faults.sentence(error)] if is_first_question else []
    except KafkaError:
        return []


def _row(
    role: str,
    source: str,
    position: int | None,
    head: int | None,
    lag: int | None,
    lag_seconds: float | None,
    report: RoleReport | None,
    moved: datetime | None,
) -> Progress:
    silent = report is not None and report.age > SILENT_AFTER and report.condition != "stopped"
    condition = None if report is None else "silent" if silent else report.condition
    if position is not None and head is not None and position > head:
        # What it has still to do is not known: that would be counted in another store, or another Kafka, than this.
        lag = lag_seconds = None
        if condition in {None, "ok", "silent"}:  # any other word says more
            condition = "ahead of Kafka" if role == "ingest" else "ahead of the store"
    return Progress(
        role,
        source,
        position,
        head,
        lag,
        lag_seconds,
        None if report is None else 0.0 if silent else report.per_second,
        condition,
        report and report.owner,
        report and report.last_error,
        _time(report.last_error_at) if report else None,
        _time(moved),
    )


def _partition(name: str) -> Partition:
    _, topic, number = name.split("/")
    return topic, int(number)


def _age_s(since: datetime | None) -> float | None:
    return None if since is None else round(max(0.0, (datetime.now(UTC) - since).total_seconds()), 1)


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds")
