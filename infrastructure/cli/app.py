"""The commands of `ras`, put together."""

from __future__ import annotations

from importlib.metadata import version

import typer

from infrastructure.cli import commands, dead_letters, demo, replay, roles, status, up
from infrastructure.cli.bradley_terry import bradley_terry

app = typer.Typer(
    name="ras",
    help="Result Aggregator Service: how a batch of essays stands, said once and explained.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    add_completion=False,
)

app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("ingest")(roles.ingest)
app.command("publish")(roles.publish)
app.command("project")(roles.project)
app.command("serve")(roles.serve)
app.command("init")(commands.init)
app.command("status")(status.status)
app.command("replay")(replay.replay)
app.command("openapi")(commands.openapi)
app.command("bradley-terry")(bradley_terry)
app.add_typer(dead_letters.app, name="dead-letters")


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
    """Result Aggregator Service: how a batch of essays stands, said once and explained."""
