"""`ras demo`: plays batches through all of RAS and checks every result."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

import typer
from rich.console import Console

from infrastructure.cli.failures import INTERRUPTED, CommandError
from infrastructure.cli.standard_output import say
from infrastructure.cli.starting import prepared, run, until_interrupted
from infrastructure.demo.display import Display
from infrastructure.demo.performance import perform
from infrastructure.demo.report import (
    Document,
    disagreement_lines,
    document,
    print_report,
)
from infrastructure.demo.stream import Scenario, stream
from infrastructure.local.deployment import Deployment, deployed
from infrastructure.local.first_requests import first_requests
from infrastructure.local.sign_in_links import sign_in_lines, sign_in_links
from infrastructure.settings import DEMO_API_KEY, DEMO_ENVIRONMENT, Settings

_JUDGED_BATCHES = 3
"""Of so many classes the demo plays every judge's answer, so that there is something to look at."""

_Result = TypeVar("_Result")


_LONGEST_BATCH: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Options:
    """What is played, and what is printed of it."""

    batches: int
    seed: int
    keep: bool
    json_output: bool


def demo(options: Options) -> None:
    """Play it and check it. Exit code 1 where something does not agree, 130 when interrupted before that is known."""
    run(_interruptible(options, prepared()))


async def _interruptible(options: Options, settings: Settings) -> None:
    """Show the demonstration; Ctrl-C ends it in order, whatever it is doing. Raises typer.Exit."""
    agreed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    async with until_interrupted() as interrupted:
        showing = asyncio.ensure_future(_show(options, settings, agreed))
        asked = asyncio.ensure_future(interrupted.wait())
        await asyncio.wait({showing, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if interrupted.is_set():
            say("Stopping …", err=True)
            showing.cancel()
        await asyncio.gather(showing, asked, return_exceptions=True)
    if not showing.cancelled():
        showing.result()
    if not agreed.done():
        raise typer.Exit(INTERRUPTED)
    if not agreed.result():
        raise typer.Exit(1)


async def _show(options: Options, settings: Settings, agreed: asyncio.Future[bool]) -> None:
    """Start everything, play, judge, tell; with `keep`, stay until cancelled."""
    scenario = stream(options.seed, options.batches, judged=_JUDGED_BATCHES)
    refuse_wrong_clock(scenario, settings.future_tolerance_days, datetime.now(UTC))
    headers = {"X-Internal-API-Key": DEMO_API_KEY, "X-Service-ID": settings.allowed_services[0]}
    display = Display()
    with TemporaryDirectory(prefix="ras-demo-") as home:
        display.say("Starting PostgreSQL, Kafka and the roles …")
        async with deployed(_of_the_demo(settings), Path(home), api_key=DEMO_API_KEY) as deployment:
            with display:
                performance = await _watched(
                    deployment, perform(deployment, scenario, display, headers=headers)
                )
            result = document(performance)
            agreed.set_result(result["agrees"])
            _tell(options, deployment, result, headers)
            if options.keep:
                await deployment.supervise()


def refuse_wrong_clock(scenario: Scenario, tolerance_days: int, now: datetime) -> None:
    """Raise CommandError where RAS would refuse the demo's messages as sent from too far ahead."""
    last = max(script.starts_at for script in scenario.scripts) + _LONGEST_BATCH
    if last > now + timedelta(days=tolerance_days):
        raise CommandError(
            f"The clock of this machine shows {now:%Y-%m-%d}, and the demo's messages are of {last:%Y-%m-%d}. RAS takes "
            f"no message from more than {tolerance_days} days ahead. Set the clock, or set "
            "RAS_FUTURE_TOLERANCE_DAYS. Nothing was started."
        )


def _of_the_demo(settings: Settings) -> Settings:
    """Keep the settings that tune; a demonstration has servers, address and key of its own."""
    return settings.model_copy(
        update={
            "database_url": None,
            "kafka_bootstrap_servers": None,
            "environment": DEMO_ENVIRONMENT,
            "api_host": "127.0.0.1",
            "api_port": 0,
            "assessments_port": 0,
            "assessments_url": None,
        }
    )


async def _watched(deployment: Deployment, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Await `work`. Raises EmbeddedServerError as soon as a role has ended by itself."""
    watch = asyncio.ensure_future(deployment.supervise())
    working = asyncio.ensure_future(work)
    try:
        await asyncio.wait({watch, working}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await watch
        return await working
    finally:
        for task in (watch, working):
            task.cancel()
        await asyncio.gather(watch, working, return_exceptions=True)


def _tell(options: Options, deployment: Deployment, result: Document, headers: dict[str, str]) -> None:
    sample = result["sample"]
    if not options.json_output:
        console = Console()
        print_report(console, result)
        if options.keep:
            console.print()
            for line in _places(deployment, sample, headers):
                say(line)
    elif options.keep:
        place = {name: sample[name] for name in ("batch_id", "user_id", "essay_id")}
        links = sign_in_links(deployment.api, deployment.session_key, teacher=sample["user_id"])
        typer.echo(json.dumps(deployment.as_json() | place | {"agrees": result["agrees"], "sign_in": links}))
        for line in disagreement_lines(result):
            say(line, err=True)
    else:
        typer.echo(json.dumps(result))


def _places(deployment: Deployment, sample: Document, headers: dict[str, str]) -> Iterator[str]:
    """Yield where to look, as commands to paste."""
    yield "Everything is still running. Ctrl-C ends it."
    yield ""
    yield from sign_in_lines(sign_in_links(deployment.api, deployment.session_key, teacher=sample["user_id"]))
    yield ""
    yield "Paste this into another terminal:"
    yield ""
    yield from first_requests(
        deployment.api,
        headers["X-Internal-API-Key"],
        headers["X-Service-ID"],
        batch=sample["batch_id"],
        teacher=sample["user_id"],
        essay=sample["essay_id"],
    )
    yield ""
    yield from deployment.addresses()
