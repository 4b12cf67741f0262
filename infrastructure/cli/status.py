"""`ras status`: who has come how far."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import psycopg
import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from rich.table import Table

from infrastructure.bootstrap import Servers, servers_from
from infrastructure.cli.output import console
from infrastructure.cli.roles import prepared
from infrastructure.postgres import schema

_KAFKA_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Progress:
    """One reader: where it is, where its source ends, and when it last moved.

    `position` and `head` are Kafka offsets for ingest, notification ids otherwise; None where unknown.
    """

    role: str
    source: str
    position: int | None
    head: int | None
    lag: int | None
    updated_at: str | None


def status(
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show how far ingest, publisher and projections have come, and how far behind they are."""
    settings = prepared()
    servers = servers_from(settings, kafka=False)
    schema.check(servers.database_url)
    rows, faults = asyncio.run(
        _read(
            Servers(servers.database_url, settings.kafka_bootstrap_servers or ""), settings.transactional_id
        )
    )
    if json_output:
        typer.echo(json.dumps({"readers": [asdict(row) for row in rows], "faults": faults}))
        return
    table = Table("role", "source", "position", "head", "lag", "last moved")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in asdict(row).values()))
    out = console()
    out.print(table)
    for fault in faults:
        out.print(fault)


async def _read(servers: Servers, transactional_id: str) -> tuple[list[Progress], list[str]]:
    async with await psycopg.AsyncConnection.connect(servers.database_url, autocommit=True) as connection:
        cursor = await connection.execute(
            "SELECT name, position, updated_at FROM ras.positions ORDER BY name"
        )
        stored = {name: (int(position), moved) for name, position, moved in await cursor.fetchall()}
        cursor = await connection.execute("SELECT coalesce(max(notification_id), 0) FROM ras.stored_events")
        head = int((await cursor.fetchone() or (0,))[0])
        cursor = await connection.execute(
            "SELECT coalesce(max(notification_id), 0) FROM ras.stored_events"
            " WHERE topic IN ('ras.batch.results-ready.v1', 'ras.batch.assessment-announced.v1')"
        )
        published_head = int((await cursor.fetchone() or (0,))[0])
    partitions = sorted(_partition(name) for name in stored if name.startswith("intake/"))
    ends, faults = await _ends(servers.bootstrap_servers, partitions)
    rows = []
    for partition in partitions:
        position, moved = stored.get(f"intake/{partition[0]}/{partition[1]}", (None, None))
        end = ends.get(partition)
        last = None if end is None else end - 1
        lag = None if last is None else max(0, last - (-1 if position is None else position))
        rows.append(_row("ingest", f"{partition[0]}/{partition[1]}", position, last, lag, moved))
    for name, (position, moved) in stored.items():
        role, _, rest = name.partition("/")
        if role == "projection":
            rows.append(_row("project", rest, position, head, max(0, head - position), moved))
        elif name == f"publisher/{transactional_id}":
            rows.append(
                _row("publish", rest, position, published_head, max(0, published_head - position), moved)
            )
    return rows, faults


async def _ends(
    bootstrap_servers: str, partitions: Sequence[tuple[str, int]]
) -> tuple[dict[tuple[str, int], int], list[str]]:
    """Return the offset after the last of each partition, and what kept us from asking."""
    if not bootstrap_servers:
        return {}, ["RAS_KAFKA_BOOTSTRAP_SERVERS is not set: the ends of the topics are not known."]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    asked = [TopicPartition(*partition) for partition in partitions]
    try:
        async with asyncio.timeout(_KAFKA_TIMEOUT_S):
            await consumer.start()
            consumer.assign(asked)  # nothing is read; the client learns where these partitions are
            ends = await consumer.end_offsets(asked)
    except (KafkaError, TimeoutError) as error:
        return {}, [f"Kafka does not answer: {error!r}"]
    finally:
        await consumer.stop()
    return {(p.topic, p.partition): end for p, end in ends.items()}, []


def _partition(name: str) -> tuple[str, int]:
    _, topic, number = name.split("/")
    return topic, int(number)


def _row(
    role: str, source: str, position: int | None, head: int | None, lag: int | None, moved: datetime | None
) -> Progress:
    when = None if moved is None else moved.astimezone(UTC).isoformat(timespec="seconds")
    return Progress(role, source, position, head, lag, when)
