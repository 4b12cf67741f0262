"""`ras up`: runs all roles and servers on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

import typer

from infrastructure.cli.failures import INTERRUPTED
from infrastructure.cli.standard_output import say
from infrastructure.cli.starting import prepared, run, until_interrupted
from infrastructure.local.deployment import Deployment, deployed
from infrastructure.local.first_requests import first_requests
from infrastructure.local.newest_batch import NewestBatch, newest_batch
from infrastructure.local.running_note import running
from infrastructure.local.sign_in_links import sign_in_lines, sign_in_links
from infrastructure.settings import Settings
from infrastructure.visible import visible_lines

_LOOK_AGAIN_S: Final = 0.5


def up(*, json_output: bool) -> None:
    """Run everything until interrupted. Exit code 130 when interrupted while another one runs in the folder."""
    run(_up(prepared(), json_output=json_output))


async def _up(settings: Settings, *, json_output: bool) -> None:
    async with until_interrupted() as interrupted:
        if not await _alone(settings.home, interrupted):
            raise typer.Exit(INTERRUPTED)
        if not json_output:
            say("Starting …", err=True)
        async with deployed(settings, settings.home) as deployment:
            newest = await asyncio.to_thread(newest_batch, deployment.servers.database_url)
            links = sign_in_links(deployment.api, deployment.session_key, teacher=newest.teacher)
            if json_output:
                typer.echo(json.dumps(deployment.as_json() | {"sign_in": links}))
            else:
                typer.echo(visible_lines(_described(deployment, settings, links, newest)))
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


async def _alone(home: Path, interrupted: asyncio.Event) -> bool:
    """Wait while another `ras up` runs on the data in `home`. Return False if interrupted meanwhile."""
    told: int | None = None
    while (first := running(home)) is not None:
        if told != first.pid:
            say(
                f"Another `ras up` runs on the data in {home}: process {first.pid}"
                f"{f', API at {first.api}' if first.api else ''}.",
                err=True,
            )
            say("Waiting until it ends. Ctrl-C gives up; RAS_HOME names another folder.", err=True)
            told = first.pid
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(interrupted.wait(), _LOOK_AGAIN_S)
        if interrupted.is_set():
            return False
    return True


def _described(deployment: Deployment, settings: Settings, links: dict[str, str], newest: NewestBatch) -> str:
    ras = _this_command()
    return "\n".join(
        (
            "RAS is running. Ctrl-C stops it.",
            "",
            *sign_in_lines(links),
            "",
            "Paste this into another terminal:",
            "",
            *first_requests(
                deployment.api,
                deployment.api_key,
                settings.allowed_services[0],
                batch=newest.batch,
                teacher=newest.teacher,
                essay=newest.essay,
            ),
            "",
            *deployment.addresses(),
            "",
            "In another terminal, in this folder:",
            f"  {ras} status",
            f"  {ras} replay FILE.jsonl",
            f"  {ras} check",
            "From another folder, first:",
            f"  export RAS_HOME={shlex.quote(str(settings.home.absolute()))}",
        )
    )


def _this_command() -> str:
    """Return what runs this command again: `ras` where PATH finds it, else its file."""
    mine = Path(sys.argv[0])
    if (found := shutil.which("ras")) and mine.exists() and mine.samefile(found):
        return "ras"
    return shlex.quote(str(mine))
