"""`ras outbox`: what will be published, and what was published lately."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import typer
from rich.console import Console

from domain.wording import counted
from infrastructure.cli.standard_output import console
from infrastructure.cli.starting import prepared
from infrastructure.cli.tables import print_rows
from infrastructure.local.running_note import servers_to_look_at
from infrastructure.operations.outbox import OutboxEntry, read_outbox
from infrastructure.postgres import schema_version

_HEADINGS: Final = ("position", "event", "aggregate", "topic", "key", "event id", "recorded", "published")


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
    are = "is" if found.pending_events == 1 else "are"
    out.print(f"Published up to {found.position}; {counted(found.pending_events, 'event')} {are} waiting.")
    _print(out, "To be published, next first", found.pending)
    _print(out, "Published, last first", found.published)
    for note in found.notes:
        out.print(note)


def _print(out: Console, title: str, entries: Sequence[OutboxEntry]) -> None:
    if not entries:
        return
    out.print(f"{title}:")
    rows = [
        [
            str(entry.position),
            entry.event_type,
            f"{entry.aggregate}/{entry.version}",
            entry.topic,
            entry.key,
            entry.event_id,
            entry.recorded_at,
            entry.published_at or "",
        ]
        for entry in entries
    ]
    print_rows(out, _HEADINGS, rows, first=2)
