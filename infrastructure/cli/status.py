"""`ras status`: how far each reader is, how fast it is, and what went wrong last."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict

import psycopg
import typer
from rich.console import Console
from rich.live import Live

from infrastructure.cli.standard_output import console
from infrastructure.cli.starting import prepared, run, until_interrupted
from infrastructure.cli.status_table import HEADINGS, plain_rows, shown, verdict_lines
from infrastructure.cli.tables import print_rows
from infrastructure.local.running_note import servers_to_look_at
from infrastructure.operations.progress import Progress, read_progress
from infrastructure.postgres import faults as database_faults
from infrastructure.postgres import schema_version
from infrastructure.settings import Servers


def status(*, watch: bool, interval_s: float, wide: bool, json_output: bool) -> None:
    """Print how it stands; with `watch` every `interval_s` seconds until interrupted."""
    settings = prepared()
    servers = servers_to_look_at(settings)
    schema_version.check(servers.database_url)
    if watch:
        run(_watch(servers, settings.transactional_id, interval_s, wide=wide, json_output=json_output))
        return
    rows, faults = asyncio.run(read_progress(servers, settings.transactional_id))
    if json_output:
        typer.echo(_as_json(rows, faults))
    else:
        _print(console(), rows, faults, wide=wide)


async def _watch(
    servers: Servers, transactional_id: str, interval_s: float, *, wide: bool, json_output: bool
) -> None:
    rows: Sequence[Progress] = ()
    out = console()
    in_place = (
        out.is_terminal and not json_output and not wide
    )  # into a pipe or a file one table comes after the other
    with Live(console=out, auto_refresh=False) if in_place else nullcontext() as live:
        async with until_interrupted() as interrupted:
            while not interrupted.is_set():
                looking = asyncio.ensure_future(read_progress(servers, transactional_id))
                asked = asyncio.ensure_future(interrupted.wait())
                await asyncio.wait({looking, asked}, return_when=asyncio.FIRST_COMPLETED)
                if not looking.done():
                    looking.cancel()
                    await asyncio.gather(looking, return_exceptions=True)
                    return
                try:
                    rows, faults = looking.result()
                except psycopg.Error as error:
                    faults = [database_faults.sentence(error)]
                if json_output:
                    typer.echo(_as_json(rows, faults))
                elif live is None:
                    _print(out, rows, faults, wide=wide)
                else:
                    live.update(shown(rows, faults), refresh=True)
                with suppress(TimeoutError):
                    async with asyncio.timeout(interval_s):
                        await asked


def _as_json(rows: Sequence[Progress], faults: Sequence[str]) -> str:
    return json.dumps({"readers": [asdict(row) for row in rows], "faults": list(faults)})


def _print(out: Console, rows: Sequence[Progress], faults: Sequence[str], *, wide: bool) -> None:
    if out.is_terminal and not wide:
        out.print(shown(rows, faults))
        return
    for line in verdict_lines(rows, faults):
        out.print(line)
    print_rows(out, HEADINGS, plain_rows(rows), first=2, wide=wide)
