"""The commands of `ras`, each imported when it is called for.

All of them together take over three seconds of a slow machine to import. A role, of which `ras up` starts
four at once, needs a part of that.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

_COMMANDS: Final = {
    "demo": "infrastructure.cli.demo:demo",
    "up": "infrastructure.cli.up:up",
    "ingest": "infrastructure.cli.roles:ingest",
    "publish": "infrastructure.cli.roles:publish",
    "project": "infrastructure.cli.roles:project",
    "serve": "infrastructure.cli.roles:serve",
    "serve-assessments": "infrastructure.cli.roles:serve_assessments",
    "init": "infrastructure.cli.commands:init",
    "rebuild": "infrastructure.cli.rebuild:rebuild",
    "status": "infrastructure.cli.status:status",
    "history": "infrastructure.cli.history:history",
    "explain": "infrastructure.cli.history:explain",
    "check": "infrastructure.cli.check:check",
    "outbox": "infrastructure.cli.outbox:outbox",
    "replay": "infrastructure.cli.replay:replay",
    "openapi": "infrastructure.cli.commands:openapi",
    "bradley-terry": "infrastructure.cli.bradley_terry:bradley_terry",
    "dead-letters": "infrastructure.cli.dead_letters:app",
    "parked": "infrastructure.cli.parked:app",
}
"""Where each command is: a function, or an application with commands of its own."""

_LOOK: Final[dict[str, Any]] = {
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "rich_markup_mode": None,
    "add_completion": False,
}


class _Commands(TyperGroup):
    """The group of all commands. Listing them for `--help` imports them all."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the help."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command, None for a name that there is not."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), name)
        group = typer.Typer(**_LOOK, callback=_nothing)
        if isinstance(found, typer.Typer):
            group.add_typer(found, name=cmd_name)
        else:
            group.command(cmd_name)(found)
        return get_group(group).get_command(ctx, cmd_name)


def _nothing() -> None:
    """A callback makes an application a group, whose only command keeps its name."""


app = typer.Typer(
    name="ras",
    cls=_Commands,
    help="Result Aggregator Service: how a batch of essays stands, said once and explained.",
    no_args_is_help=True,
    **_LOOK,
)


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
