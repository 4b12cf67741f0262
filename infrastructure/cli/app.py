"""The command `ras`: its commands in the order of the help. Each imports its work when it is called."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

import typer

from infrastructure.cli.commands import explaining, letters, operating, planning, roles, setting_up

app = typer.Typer(
    name="ras",
    help="Result Aggregator Service: how each batch of essays stands, announced once and explained.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

_COMMANDS: Final[dict[str, Callable[..., None] | typer.Typer]] = {
    "demo": setting_up.demo,
    "up": setting_up.up,
    "ingest": roles.ingest,
    "publish": roles.publish,
    "project": roles.project,
    "serve": roles.serve,
    "serve-assessments": roles.serve_assessments,
    "init": setting_up.init,
    "rebuild": operating.rebuild,
    "status": operating.status,
    "history": explaining.history,
    "explain": explaining.explain,
    "check": operating.check,
    "outbox": operating.outbox,
    "replay": operating.replay,
    "openapi": setting_up.openapi,
    "asyncapi": setting_up.asyncapi,
    "bradley-terry": explaining.bradley_terry,
    "judging-report": explaining.judging_report,
    "judging-plan": planning.judging_plan,
    "judging-link": planning.judging_link,
    "dead-letters": letters.dead_letters,
    "parked": letters.parked,
}
for _name, _command in _COMMANDS.items():
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name)(_command)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(version("result-aggregator-service"))
        raise typer.Exit


@app.callback()
def _options(
    _version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Result Aggregator Service: how each batch of essays stands, announced once and explained."""
