"""`ras outbox`: what is to be published, and what was published lately."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.table import Table

from infrastructure.cli.standard_output import console
from infrastructure.cli.starting import prepared
from infrastructure.local.running_note import servers_to_look_at
from infrastructure.operations.outbox import OutboxEntry, read_outbox
from infrastructure.postgres import schema_version


def outbox(*, limit: int, json_output: bool) -> None:
    """Print what waits and what went out, at most `limit` events of each."""
    settings = prepared()
    servers = servers_to_look_at(settings)
    schema_version.check(servers.database_url)
    found = asyncio.run(
        read_outbox(
            servers,
            settings.transactional_id,
            limit=limit,
        )
    )
    if json_output:
        typer.echo(json.dumps(asdict(found)))
        return
    out = console()
    out.print(f"Published up to {found.position}; {found.pending_events} events are waiting.")
    _print("to be published, next first", found.pending)
    _print("published, last first", found.published)
    for note in found.notes:
        out.print(note)


def _print(title: str, entries: Sequence[OutboxEntry]) -> None:
    if not entries:
        return
    table = Table(
        "position", "aggregate", "event", "topic", "key", "event id", "recorded", "published", title=title
    )
    for entry in entries:
        table.add_row(
            str(entry.position),
            f"{entry.aggregate}/{entry.version}",
            entry.event_type,
            entry.topic,
            entry.key,
            entry.event_id,
            entry.recorded_at,
            entry.published_at or "",
        )
    console().print(table)
