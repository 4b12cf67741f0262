"""Commands that operators run beside the service: status, check, outbox, rebuild, replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
    interval: Annotated[
        float,
        typer.Option(min=0.5, max=3600, metavar="SECONDS", help="Seconds between refreshes, with --watch."),
    ] = 2.0,
    wide: Annotated[
        bool, typer.Option("--wide", help="Show every partition with its position and last error.")
    ] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print as JSON; with --watch, a line each time.")
    ] = False,
) -> None:
    """Show the position, lag and last error of each role."""
    from infrastructure.cli import status as work

    work.status(watch=watch, interval_s=interval, wide=wide, json_output=json_output)


def check(
    incremental: Annotated[
        bool,
        typer.Option(
            "--incremental", help="Check only what is new since the last check that found no fault."
        ),
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check that nothing was lost or doubled. Counts what came in, is recorded, is shown and went out.

    Runs beside the service. Exit code 1 where something does not fit; each thing is named.
    """
    from infrastructure.cli import check as work

    work.check(incremental=incremental, json_output=json_output)


def outbox(
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="At most this many events of each kind.")
    ] = 20,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what waits to be published, and what was sent."""
    from infrastructure.cli import outbox as work

    work.outbox(limit=limit, json_output=json_output)


def rebuild(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Read models; all of them when none is named."),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Return to the side that was live before the last rebuild.")
    ] = False,
    accept_differences: Annotated[
        bool,
        typer.Option(
            "--accept-differences",
            help="Switch even if rows differ: the events are right, the live rows are wrong.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before going back.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Rebuild read models beside the live ones and switch.

    Ingest, projector and API go on meanwhile; nothing is sent to Kafka. A new side that differs from the live
    one is refused and the rows are named, unless the read model's version has changed. Interrupted, the live
    side is as it was, and the next run goes on.
    """
    from infrastructure.cli import rebuild as work

    work.rebuild(
        names or [],
        rollback=rollback,
        accept_differences=accept_differences,
        yes=yes,
        json_output=json_output,
    )


def replay(
    file: Annotated[
        Path, typer.Argument(help="A stream file with one JSON message per line; - reads standard input.")
    ],
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            help="Kafka to send to. Default: RAS_KAFKA_BOOTSTRAP_SERVERS, else the Kafka of the running `ras up`."
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=0, help="Messages per second; 0 is as fast as possible.")] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="Print what was sent as JSON.")] = False,
) -> None:
    """Send a recorded stream file to Kafka. Keeps its order and each message as it was recorded.

    The whole file is read and checked first, so a broken line sends nothing. To the broker that `ras up` brings it
    sends no faster than messages are ingested: that broker keeps 5 MB per partition and drops the oldest, and takes messages up to 2.5 MB.
    """
    from infrastructure.cli import replay as work

    work.replay(file, bootstrap_servers=bootstrap_servers, rate=rate, json_output=json_output)
