"""`ras dead-letters`: the messages that were put aside."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import psycopg
import typer
from psycopg.rows import DictRow, dict_row
from rich.table import Table

from domain.dead_letters import Reason
from infrastructure.cli.failures import CommandError
from infrastructure.cli.output import console
from infrastructure.cli.roles import prepared
from infrastructure.postgres import schema_version
from infrastructure.running import servers_to_look_at
from projections.dead_letters import PARKED, dead_letters

app = typer.Typer(help="List and show the messages that could not be taken in.", no_args_is_help=True)

_COLUMNS = 'position, reason, topic, partition, "offset", received_at, detail'
_REASONS = [reason.value for reason in Reason] + [PARKED]


@app.command("list")
def list_letters(
    reason: Annotated[str | None, typer.Option(help=f"One of {', '.join(_REASONS)}.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only messages of this topic.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many, newest first.")] = 50,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List dead letters, newest first."""
    if reason is not None and reason not in _REASONS:
        raise typer.BadParameter(
            f"{reason!r} is no reason; there are {', '.join(_REASONS)}", param_hint="--reason"
        )
    rows = _query(
        f"SELECT {_COLUMNS} FROM ras_dead_letters.letters"  # noqa: S608 - the columns are ours
        " WHERE (%(reason)s::text IS NULL OR reason = %(reason)s)"
        " AND (%(topic)s::text IS NULL OR topic = %(topic)s)"
        " ORDER BY position DESC LIMIT %(limit)s",
        {"reason": reason, "topic": topic, "limit": limit},
    )
    if json_output:
        typer.echo(json.dumps([_plain(row) for row in rows]))
        return
    if not rows:
        typer.echo("There are no dead letters.")
        return
    table = Table("id", "reason", "topic", "partition", "offset", "received", "detail")
    for row in rows:
        table.add_row(*(str(_shown(value)) for value in row.values()))
    console().print(table)


@app.command("show")
def show_letter(
    letter_id: Annotated[int, typer.Argument(metavar="ID", help="The id that `list` shows.")],
    raw: Annotated[bool, typer.Option(help="Print nothing but the message's bytes.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON, bytes in base64.")] = False,
) -> None:
    """Show one dead letter with its bytes."""
    rows = _query("SELECT * FROM ras_dead_letters.letters WHERE position = %(id)s", {"id": letter_id})
    if not rows:
        raise CommandError(f"There is no dead letter {letter_id}; `ras dead-letters list` shows the ids.")
    row = rows[0]
    if raw:
        typer.get_binary_stream("stdout").write(row["value"] or b"")
        return
    if json_output:
        typer.echo(json.dumps(_plain(row)))
        return
    for name, value in row.items():
        shown = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else _shown(value)
        typer.echo(f"{name:12} {shown}")


def _query(statement: str, parameters: dict[str, Any]) -> Sequence[DictRow]:
    servers = servers_to_look_at(prepared())
    schema_version.check(servers.database_url, read_models={dead_letters.name: dead_letters.version})
    with psycopg.connect(servers.database_url, row_factory=dict_row, connect_timeout=5) as connection:
        return connection.execute(statement.encode(), parameters).fetchall()


def _shown(value: object) -> object:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _plain(row: DictRow) -> dict[str, Any]:
    return {
        name: base64.b64encode(value).decode() if isinstance(value, bytes) else _shown(value)
        for name, value in row.items()
    }
