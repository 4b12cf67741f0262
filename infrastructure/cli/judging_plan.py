"""`ras judging-plan`: a whole design for a judging session, and afterwards how far each judge is."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import typer

from domain.wording import counted
from infrastructure.cli.judging_csv import DecisionsFileError, decoded_text, read_decisions
from infrastructure.errors import OperatorError
from infrastructure.input_files import read_input
from infrastructure.spreadsheet_csv import CsvForm, csv_bytes, unguarded

PLAN_COLUMNS: Final = ("judge", "number", "first", "second", "reason")
_SEPARATORS: Final = (",", ";", "\t")
_OTHER_NAMES: Final = " A plan under other names needs the --columns it was written with."


class PlanFileError(OperatorError):
    """The plan cannot be made or read; the text says why and what to do."""

    exit_code = 2


class PlanOptions(NamedTuple):
    """What the design has to fulfil; `seed` None is the usual one."""

    judges: str
    per_item: int
    per_judge: int | None
    random_share: float
    seed: int | None


def make_plan(
    items_file: str,
    wanted: PlanOptions,
    columns: Sequence[tuple[str, str]],
    output: Path | None,
    form: CsvForm,
) -> None:
    """Write a plan for the texts of `items_file` as CSV to `output`, or to standard output."""
    from domain.judging_plan import SEED, ComparisonsError, PlanError, plan_judging

    table = named_rows(items_file, "item")
    scores = numbers_in(table, "score", items_file)
    names, limits = _judges(wanted.judges, wanted.per_judge)
    items = [row["item"] for row in table]
    try:
        plan = plan_judging(
            items,
            names,
            wanted.per_item,
            limits=limits,
            scores=None if not scores else {items[k]: value for k, value in scores.items()},
            random_share=wanted.random_share,
            seed=SEED if wanted.seed is None else wanted.seed,
        )
    except ComparisonsError as error:
        raise PlanFileError(f"{items_file}: {error}. --per-item sets the number.") from error
    except PlanError as error:
        raise PlanFileError(f"{items_file}: {error}.") from error
    number: dict[str, int] = {}
    rows = []
    for pair in plan:
        number[pair.judge] = number.get(pair.judge, 0) + 1
        reason = "random" if pair.at_random else "near"
        cells = dict(
            zip(
                PLAN_COLUMNS,
                (pair.judge, number[pair.judge], pair.first, pair.second, reason),
                strict=True,
            )
        )
        rows.append([cells[ours] for _, ours in columns])
    content = csv_bytes([theirs for theirs, _ in columns], rows, form)
    if output is None:
        typer.echo(content, nl=False)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise PlanFileError(f"{output}: cannot be written: {error.strerror or error}.") from error
    most, least = max(number.get(name, 0) for name in names), min(number.get(name, 0) for name in names)
    load = f"{least}" if most == least else f"{least} to {most}"
    at_random = sum(pair.at_random for pair in plan)
    typer.echo(
        f"Wrote {output}: {counted(len(plan), 'comparison')} of {counted(len(items), 'text')}, {load} for each of "
        f"{counted(len(names), 'judge')}; {at_random / len(plan):.0%} of the pairs are random. "
        f"Afterwards: ras judging-plan {output} --progress DECISIONS.csv{_columns_again(columns)}"
    )


def show_progress(plan_file: str, decisions_file: str, columns: Sequence[tuple[str, str]]) -> None:
    """Print for each judge of the plan how many of the planned pairs are decided; `columns` as for `make_plan`."""
    from domain.judging_plan import PlannedPair, progress
    from infrastructure.cli.judging_tables import print_plain_table

    theirs = {ours: name.casefold() for name, ours in columns}
    judge, first, second = (theirs.get(ours, ours) for ours in ("judge", "first", "second"))
    plan = [
        PlannedPair(unguarded(row[judge]), unguarded(row[first]), unguarded(row[second]), at_random=False)
        for row in named_rows(plan_file, judge, first, second, hint=_OTHER_NAMES)
    ]
    decisions = read_decisions(decisions_file)
    made = zip(decisions.judges, decisions.chosen, decisions.not_chosen, strict=True)
    found = progress(plan, [(unguarded(j), unguarded(a), unguarded(b)) for j, a, b in made])
    planned, decided = sum(each.planned for each in found), sum(each.decided for each in found)
    typer.echo(
        f"{decided:,} of {counted(planned, 'planned comparison')} are decided, {planned - decided:,} are left."
    )
    outside = sum(each.outside for each in found)
    if outside:
        kind = "decision is outside the plan" if outside == 1 else "decisions are outside the plan"
        typer.echo(f"{outside:,} {kind}: the judge was not to judge this pair, or had judged it before.")
    rows = [
        (
            each.judge,
            *(str(number) for number in (each.planned, each.decided, each.left, each.outside)),
            f"{each.decided / each.planned:.0%}" if each.planned else "-",
        )
        for each in found
    ]
    print_plain_table("Progress", ("judge", "planned", "decided", "left", "outside", "done"), rows)


def _columns_again(columns: Sequence[tuple[str, str]]) -> str:
    """The option that reads a plan with these columns."""
    renamed = [f"{theirs}={ours}" for theirs, ours in columns if theirs != ours]
    return f" --columns {shlex.quote(','.join(renamed))}" if renamed else ""


def parse_plan_columns(given: str | None) -> tuple[tuple[str, str], ...]:
    """`assessor=judge,left=first,right=second` as (their name, ours), in this order. Raises PlanFileError."""
    if given is None:
        return tuple((name, name) for name in PLAN_COLUMNS)
    found = []
    for part in given.split(","):
        theirs, equals, ours = (piece.strip() for piece in part.partition("="))
        ours = ours if equals else theirs
        if not theirs or ours not in PLAN_COLUMNS:
            raise PlanFileError(
                f"--columns: {part.strip()!r} is not NAME=COLUMN, where COLUMN is one of {', '.join(PLAN_COLUMNS)}."
            )
        found.append((theirs, ours))
    return tuple(found)


def _judges(given: str, per_judge: int | None) -> tuple[list[str], dict[str, int]]:
    """Names and limits: from a file with the columns judge and (if wanted) limit, or names between commas."""
    if Path(given).suffix.lower() not in (".csv", ".tsv", ".txt") and given != "-":
        names = [name.strip() for name in given.split(",")]
        return names, {} if per_judge is None else dict.fromkeys(names, per_judge)
    table = named_rows(given, "judge")
    own = numbers_in(table, "limit", given, whole=True)
    names = [row["judge"] for row in table]
    limits = {} if per_judge is None else dict.fromkeys(names, per_judge)
    limits.update({names[k]: int(value) for k, value in own.items()})
    return names, limits


def numbers_in(
    table: Sequence[Mapping[str, str]], column: str, file: str, *, whole: bool = False
) -> dict[int, float]:
    """The numbers of a column by row, rows with an empty cell left out."""
    found = {}
    for k, row in enumerate(table):
        cell = row.get(column, "").strip()
        if not cell:
            continue
        try:
            value = float(cell.replace(",", "."))
        except ValueError:
            value = float("nan")
        if not abs(value) < 1e15 or (whole and (value < 0 or value % 1)):
            kind = "a whole number" if whole else "a number"
            raise PlanFileError(f"{file}: {column} is {cell!r}, which is not {kind}.")
        found[k] = value
    return found


def named_rows(file: str, *needed: str, hint: str = "") -> list[dict[str, str]]:
    """The rows of a CSV file by column. Raises PlanFileError, with a `hint` where a column is missing.

    A file of items with one column may have it under any name.
    """
    try:
        text, _ = decoded_text(read_input(file), file, None)
    except (OSError, ValueError) as error:
        if isinstance(error, DecisionsFileError):
            raise
        raise PlanFileError(
            f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from error
    head = text.split("\n", 1)[0]
    separator = max(_SEPARATORS, key=head.count)
    rows = [
        row
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        if any(map(str.strip, row))
    ]
    header = [name.strip().casefold() for name in rows[0]] if rows else []
    if needed == ("item",) and len(header) == 1:
        header = ["item"]
    missing = [name for name in needed if name not in header]
    if missing:
        there = f"; there are {', '.join(rows[0])}" if rows else "; the file is empty"
        raise PlanFileError(f"{file}: the column {missing[0]} is missing{there}.{hint}")
    found = [dict(zip(header, row, strict=False)) for row in rows[1:]]
    for number, row in enumerate(found, start=2):
        if any(not row.get(name, "").strip() for name in needed):
            raise PlanFileError(f"{file}, row {number}: the cell of {' or '.join(needed)} is empty.")
    return found
