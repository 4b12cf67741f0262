"""`ras up`: everything on this machine."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path

import typer

from infrastructure.cli.standard_output import say
from infrastructure.cli.starting import prepared, run, until_interrupted
from infrastructure.local.deployment import Deployment, deployed
from infrastructure.settings import Settings
from infrastructure.visible import visible_lines


def up(*, json_output: bool) -> None:
    """Run everything until interrupted."""
    run(_up(prepared(), json_output=json_output))


async def _up(settings: Settings, *, json_output: bool) -> None:
    async with until_interrupted() as interrupted:
        if not json_output:
            say("Starting …", err=True)
        async with deployed(settings, settings.home) as deployment:
            if json_output:
                typer.echo(json.dumps(deployment.as_json()))
            else:
                typer.echo(visible_lines(_described(deployment, settings.home)))
            await supervised(deployment, interrupted)
        if not json_output:
            say("Stopped.", err=True)


async def supervised(deployment: Deployment, interrupted: asyncio.Event) -> None:
    """Watch over the roles until interrupted."""
    watch = asyncio.ensure_future(deployment.supervise())
    asked = asyncio.ensure_future(interrupted.wait())
    done, pending = await asyncio.wait({watch, asked}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()


def _described(deployment: Deployment, home: Path) -> str:
    return "\n".join(
        (
            "RAS is running. Ctrl-C stops it.",
            f"  API         {deployment.api}/docs",
            f"  assessments {deployment.assessments}/docs",
            f"  API key     {deployment.api_key}",
            f"  Kafka       {deployment.servers.bootstrap_servers}",
            f"  PostgreSQL  {deployment.servers.database_url}",
            f"  logs        {deployment.logs}",
            "In another terminal, in this folder: ras status, ras replay FILE.jsonl, ras check. From elsewhere first:",
            f"  export RAS_HOME={shlex.quote(str(home.absolute()))}",
        )
    )
