"""Commands that explain results: a batch's history and readiness, the scores of a judging session."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
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


_Scale = Annotated[
    str | None,
    typer.Option(
        metavar="LOW-HIGH|mean=M,spread=S",
        help="Also show scores on a scale, such as 0-100 (lowest and highest text) or mean=500,spread=100.",
        show_default=False,
    ),
]
_Anchors = Annotated[
    str | None,
    typer.Option(
        metavar="FILE.csv",
        help="Texts with known grades (columns item and grade): shows grade boundaries and grades.",
        show_default=False,
    ),
]
_Grades = Annotated[
    str | None,
    typer.Option(
        metavar="F,E,...,A",
        help="With --anchors: the grades, the lowest first. By default A is the highest.",
        show_default=False,
    ),
]
_Standard = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="The text that just meets the standard: shows which texts do.",
        show_default=False,
    ),
]


class CsvTable(StrEnum):
    """The tables of `--csv`."""

    ITEMS = "items"
    JUDGES = "judges"
    NEXT_PAIRS = "next-pairs"
    SCALED = "scaled"
    ANCHORED = "anchored"


def bradley_terry(
    decisions: Annotated[
        str,
        typer.Argument(
            metavar="DECISIONS.csv",
            help=(
                "CSV with the columns judge, chosen and not_chosen, and if known shown_first (the text shown first) "
                "and tied (yes: undecided); - reads standard input."
            ),
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    quality: Annotated[
        bool,
        typer.Option(
            "--quality",
            help="Add forward test, weak links, split-half reliability, growth, agreement, misfits and the next pairs.",
        ),
    ] = False,
    csv_table: Annotated[
        CsvTable | None, typer.Option("--csv", help="Print one table as CSV.", show_default=False)
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Which columns of the file to read, such as winner=chosen,loser=not_chosen. Usual names are found.",
            show_default=False,
        ),
    ] = None,
    separator: Annotated[
        str | None,
        typer.Option(help="Between cells: one character, or tab. Detected unless given.", show_default=False),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="Such as utf-8, utf-16, cp1252. Detected unless given.", show_default=False),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="With --csv: names as they are, also those that a spreadsheet takes for formulas."
        ),
    ] = False,
    bom: Annotated[bool, typer.Option("--bom", help="With --csv: begin with a byte order mark.")] = False,
    locale: Annotated[
        str | None,
        typer.Option(
            help="The language by which names of judges are sorted, such as sv. By default that of the terminal.",
            envvar="RAS_NAME_LOCALE",
            show_default=False,
        ),
    ] = None,
    without_judge: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="What if: leave out a judge; may be repeated.", show_default=False),
    ] = None,
    without_item: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="What if: leave out a text; may be repeated.", show_default=False),
    ] = None,
    first: Annotated[int, typer.Option(min=1, help="What if: begin with this decision of the file.")] = 1,
    last: Annotated[
        int | None, typer.Option(min=1, help="What if: end with this decision.", show_default=False)
    ] = None,
    epsilon: Annotated[
        float,
        typer.Option(min=0.001, max=0.499, help="The adjustment of the scores; published results have 0.3."),
    ] = 0.3,
    scale: _Scale = None,
    anchors: _Anchors = None,
    grades: _Grades = None,
    anchor_values: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.csv",
            help="Texts with fixed scores in logits (columns item and value), as from an earlier session: shows all on "
            "their scale.",
            show_default=False,
        ),
    ] = None,
    standard: _Standard = None,
    prior_sd: Annotated[
        float | None,
        typer.Option(
            min=0.05,
            max=100.0,
            help="What if: a normal prior with this standard deviation (logits) instead of the adjustment.",
            show_default=False,
        ),
    ] = None,
    random_share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="With --quality: the share of next pairs drawn at random.",
            envvar="RAS_NEXT_PAIRS_RANDOM_SHARE",
        ),
    ] = 0.2,
) -> None:
    """Score a judging session from a CSV file. Prints scores, errors, fit, reliability and what they rest on.

    Names are text (NA and 007 are names), equal rows are separate decisions. docs/comparative-judgement.md explains
    every figure.
    """
    from infrastructure.cli import bradley_terry as work
    from infrastructure.cli.judging_csv import FileForm, parse_columns
    from infrastructure.cli.judging_scales import ScaleArguments
    from infrastructure.spreadsheet_csv import CsvForm

    if grades is not None and anchors is None:
        raise typer.BadParameter("goes with --anchors", param_hint="--grades")
    if csv_table is CsvTable.ANCHORED and anchor_values is None:
        raise typer.BadParameter("goes with --anchor-values", param_hint="--csv anchored")
    if separator is not None:
        separator = {"tab": "\t", "\\t": "\t"}.get(separator, separator)
        if len(separator) != 1 or separator in '"\r\n':
            raise typer.BadParameter("give one character, or tab", param_hint="--separator")
    if csv_table is None and (raw or bom):
        raise typer.BadParameter("goes with --csv", param_hint="--raw" if raw else "--bom")
    if csv_table is not None and as_json:
        raise typer.BadParameter("choose one of --csv and --json", param_hint="--csv")
    form = FileForm(separator, encoding, None if columns is None else parse_columns(columns))
    output = work.Output(
        as_json,
        quality,
        csv_table,
        CsvForm(raw, bom),
        locale or work.locale_of_terminal(),
        random_share,
        ScaleArguments(scale, anchors, grades, standard),
        anchor_values,
    )
    change = work.ChangeOptions(
        tuple(without_judge or ()), tuple(without_item or ()), first, last, epsilon, prior_sd
    )
    work.bradley_terry(decisions, form, output, change)


class ReportLanguage(StrEnum):
    """Languages of `ras judging-report`."""

    ENGLISH = "en"
    SWEDISH = "sv"


def judging_report(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DECISIONS.csv|JOB",
            help="A file as for ras bradley-terry (- reads standard input), or the id of a judging job that RAS has recorded.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: .html, .json (the same as data), or with --figure .svg or .pdf.",
        ),
    ] = Path("report.html"),
    language: Annotated[
        ReportLanguage, typer.Option(help="The language of the report.")
    ] = ReportLanguage.ENGLISH,
    figure: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Write one figure: scores, forward-test, growth, item-infit, judges, position or matrix.",
            show_default=False,
        ),
    ] = None,
    no_figures: Annotated[
        bool, typer.Option("--no-figures", help="Tables only; works without vl-convert-python.")
    ] = False,
    title: Annotated[
        str | None,
        typer.Option(
            help="The report's heading. By default it names the number of texts, or the job.",
            show_default=False,
        ),
    ] = None,
    scale: _Scale = None,
    anchors: _Anchors = None,
    grades: _Grades = None,
    standard: _Standard = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,...", help="Columns of the file, such as winner=chosen.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a report of a judging session to hand on. One HTML file has figures, tables and plain sentences.

    For a job, --anchors published takes its anchors with their published grades.
    """
    from infrastructure.cli import judging_report as work
    from infrastructure.cli.judging_csv import FileForm, parse_columns
    from infrastructure.cli.judging_scales import ScaleArguments

    if grades is not None and anchors is None:
        raise typer.BadParameter("goes with --anchors", param_hint="--grades")

    work.judging_report(
        source,
        output,
        FileForm(columns=None if columns is None else parse_columns(columns)),
        language=language.value,
        figure=figure,
        with_figures=not no_figures,
        title=title,
        scales=ScaleArguments(scale, anchors, grades, standard),
    )
