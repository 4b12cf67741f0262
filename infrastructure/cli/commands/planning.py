"""The commands that plan a judging session, and that link two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def judging_plan(
    source: Annotated[
        str,
        typer.Argument(
            metavar="ITEMS.csv|PLAN.csv",
            help="CSV with the column item, and if known score (earlier scores); with --progress a plan.",
            show_default=False,
        ),
    ],
    judges: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...|FILE.csv",
            help="Names between commas, or a CSV file with the columns judge and, if wanted, limit.",
            show_default=False,
        ),
    ] = None,
    per_item: Annotated[int, typer.Option(min=1, help="Comparisons of each text; 10 is usual advice.")] = 10,
    per_judge: Annotated[
        int | None, typer.Option(min=0, help="The most comparisons of a judge.", show_default=False)
    ] = None,
    random_share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="With scores: the share of pairs at random distances. Without scores all pairs are random.",
        ),
    ] = 0.2,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="For another plan.", show_default=False)
    ] = None,
    progress: Annotated[
        str | None,
        typer.Option(
            metavar="DECISIONS.csv",
            help="Show how much of a plan each judge has done; the file is as for ras bradley-terry.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write the plan to this file and print a summary.", show_default=False
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Columns of the plan in the order and under the names of another tool, such as "
            "assessor=judge,left=first,right=second; with --progress those that the plan has.",
            show_default=False,
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Names as they are, also those that a spreadsheet takes for formulas."),
    ] = False,
    bom: Annotated[bool, typer.Option("--bom", help="Begin the plan with a byte order mark.")] = False,
) -> None:
    """Plan a judging session: who compares which texts.

    The plan is connected, each text is shown first as often as second (give or take one), and no pair comes twice.
    The same files and options give the same plan.
    """
    from infrastructure.cli import judging_plan as work
    from infrastructure.spreadsheet_csv import CsvForm

    if progress is not None:
        work.show_progress(source, progress, work.parse_plan_columns(columns))
        return
    if judges is None:
        raise typer.BadParameter("name the judges, or give --progress", param_hint="--judges")
    wanted = work.PlanOptions(judges, per_item, per_judge, random_share, seed)
    work.make_plan(source, wanted, work.parse_plan_columns(columns), output, CsvForm(raw, bom))


def judging_link(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE.csv",
            help="The session with the scale; a file as for ras bradley-terry.",
            show_default=False,
        ),
    ],
    other: Annotated[
        str,
        typer.Argument(
            metavar="OTHER.csv", help="The session that is moved onto that scale.", show_default=False
        ),
    ],
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT", help="Do not link through this common text; may be repeated.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the texts of OTHER.csv on the scale of BASE.csv as CSV.")
    ] = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Names as they are, also those that a spreadsheet takes for formulas."),
    ] = False,
    bom: Annotated[bool, typer.Option("--bom", help="With --csv: begin with a byte order mark.")] = False,
) -> None:
    """Put two judging sessions on one scale by common texts.

    Prints the shift with its linking error, each common text with its displacement, and all texts of OTHER.csv on the
    scale of BASE.csv.
    """
    from infrastructure.cli import judging_link as work
    from infrastructure.spreadsheet_csv import CsvForm

    if as_csv and as_json:
        raise typer.BadParameter("choose one of --csv and --json", param_hint="--csv")
    work.link_sessions(
        base, other, frozenset(without or ()), as_json=as_json, csv=CsvForm(raw, bom) if as_csv else None
    )
