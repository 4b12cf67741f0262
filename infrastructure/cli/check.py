"""`ras check`: is the event store consistent with the read models, the intake and the out-topics?"""

from __future__ import annotations

import json

import typer

from application.conservation import Report
from infrastructure.check.check import check as run_check
from infrastructure.cli.progress import ProgressBars
from infrastructure.cli.standard_output import console
from infrastructure.cli.starting import prepared, run
from infrastructure.cli.tables import print_rows
from infrastructure.local.running_note import servers_to_look_at
from infrastructure.postgres import schema_version


def check(*, incremental: bool, json_output: bool) -> None:
    """Check, and print what was found. Exit code 1 where something does not fit."""
    settings = prepared()
    servers = servers_to_look_at(settings)
    schema_version.check(servers.database_url)
    report = Report()
    with ProgressBars(disable=json_output) as bar:
        tasks = {
            what: bar.add_task(what, total=None)
            for what in ("messages and their events", "read models", "records of the out-topics")
        }

        async def work() -> None:
            nonlocal report
            report = await run_check(
                servers,
                settings.transactional_id,
                incremental=incremental,
                progress=lambda what, done, total: bar.update(tasks[what], completed=done, total=total),
            )

        run(work())
    if json_output:
        typer.echo(json.dumps(report.as_json()))
    else:
        _print(report)
    if not report.consistent:
        raise typer.Exit(1)


def _print(report: Report) -> None:
    out = console()
    rows = [
        [
            "agrees" if account.agrees else "DIFFERS",
            account.name,
            f"{account.expected:,}",
            f"{account.found:,}",
            account.unit,
        ]
        for account in report.accounts
    ]
    print_rows(out, ("", "account", "expected", "found", "of"), rows, first=2)
    for finding in report.findings:
        out.print(f"{finding.account}: {finding.id}: {finding.detail}")
    if report.unnamed_findings:
        out.print(f"… and {report.unnamed_findings} more.")
    for note in report.notes:
        out.print(note)
    span = (
        f"events {report.since + 1} to {report.position}"
        if report.position > report.since
        else "no new event"
    )
    out.print(f"{span}: {'everything agrees.' if report.consistent else 'something does not fit.'}")
