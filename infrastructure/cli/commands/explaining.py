"""Commands that explain results: a batch's history and readiness, the scores of a judging session."""

from __future__ import annotations

from typing import Annotated

import typer

from application.time_travel import By, moment
from domain.narrative import NAMED

_SHOWN = 50


def history(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.")],
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Show events up to this time (RFC 3339), and the status of the batch then."
        ),
    ] = None,
    by: Annotated[
        By | None,
        typer.Option(
            help="Which time counts with --as-of: when RAS recorded it, or when it happened.",
            show_default=By.RECORDED.value,
        ),
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help=f"Show every event, not only the first {_SHOWN}.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what happened to a batch, event by event. Each line names the message that caused it."""
    try:
        at = None if as_of is None else moment(as_of)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--as-of") from error
    if by is not None and at is None:
        raise typer.BadParameter("goes with --as-of: give the time too", param_hint="--by")
    from infrastructure.cli import history as work

    most = None if show_all else _SHOWN
    work.history(batch_id, as_of=at, by=by or By.RECORDED, most=most, json_output=json_output)


def explain(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.")],
    show_all: Annotated[
        bool, typer.Option("--all", help=f"Name every essay, not only the first {NAMED} of each list.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Explain why a batch is ready or is not. Shows what is known, what is missing and what RAS waits for."""
    from infrastructure.cli import history as work

    work.explain(batch_id, most=None if show_all else NAMED, json_output=json_output)


def bradley_terry(
    decisions: Annotated[
        str,
        typer.Argument(
            metavar="DECISIONS.csv",
            help="CSV, UTF-8, with the columns judge, chosen and not_chosen; - reads standard input.",
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    quality: Annotated[
        bool,
        typer.Option(
            "--quality",
            help="Add split-half reliability, growth, agreement of judges, misfits and the next pairs.",
        ),
    ] = False,
) -> None:
    """Score a judging session from a CSV file. Prints Bradley-Terry scores, standard errors, fit and reliability.

    Names are text (NA and 007 are names), equal rows are separate decisions.
    """
    from infrastructure.cli import bradley_terry as work

    work.bradley_terry(decisions, as_json=as_json, quality=quality)
