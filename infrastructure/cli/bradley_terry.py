"""`ras bradley-terry`: scores, errors and reliability of a judging session in a CSV file.

What computes and prints (numpy, rich) is imported once the file has been read: a broken one is refused at once.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from infrastructure.cli.judging_csv import DecisionsFileError, FileForm, comparisons_of, read_decisions
from infrastructure.cli.judging_scales import (
    ANCHORED_COLUMNS,
    ScaleArguments,
    anchored,
    print_anchored,
    print_scaled,
    scale_errors,
    scale_options,
)
from infrastructure.spreadsheet_csv import CsvForm, csv_bytes

if TYPE_CHECKING:
    from domain.bradley_terry import JudgingScores
    from domain.findings import Findings
    from domain.judging_quality import JudgingQuality


class ChangeOptions(NamedTuple):
    """The fields of `domain.what_if.Change`, which is imported once the file has been read."""

    without_judges: tuple[str, ...]
    without_items: tuple[str, ...]
    first: int
    last: int | None
    epsilon: float
    prior_sd: float | None


@dataclass(frozen=True, slots=True)
class Output:
    """What is printed: tables for people, one JSON document, or one table as CSV (items, judges, next-pairs, scaled, anchored)."""

    as_json: bool = False
    quality: bool = False
    csv_table: str | None = None
    csv_form: CsvForm = field(default_factory=CsvForm)
    locale: str = ""
    random_share: float | None = None
    scales: ScaleArguments = field(default_factory=ScaleArguments)
    anchor_values: str | None = None


def bradley_terry(decisions: str, form: FileForm, output: Output, change: ChangeOptions) -> None:
    """Print the scores of the decisions in a file, `-` for standard input. Exit code 2 where it cannot be read."""
    columns = read_decisions(decisions, form)
    quality = output.quality or output.csv_table == "next-pairs"
    # One thread: these matrices are small, and on a busy machine threads that wait for each other cost seconds.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from domain.bradley_terry import estimate_scores, scores_of
    from domain.comparison_graph import JudgingDataError, PairCounts
    from domain.findings import find
    from domain.what_if import Change, changed, differences

    comparisons = comparisons_of(columns, decisions)
    wanted = Change(**change._asdict())
    whole = None
    if not wanted.is_none:
        whole = scores_of(comparisons, estimate_scores(PairCounts.of(comparisons)))
        try:
            comparisons = changed(comparisons, wanted)
        except JudgingDataError as error:
            raise DecisionsFileError(f"{decisions}: {error}.") from error
    estimate = estimate_scores(PairCounts.of(comparisons), wanted.epsilon, prior_sd=wanted.prior_sd)
    scores = scores_of(comparisons, estimate)
    findings = find(comparisons, estimate, scores)
    what_if = None if whole is None else differences(whole, scores)
    scaled = None
    if output.csv_table == "scaled" or not output.scales.are_none:
        from application.judging_scales import scaled_scores

        with scale_errors():
            scaled = scaled_scores(
                comparisons.items, estimate, scores, findings, scale_options(output.scales)
            )
    on_anchors = None
    if output.anchor_values is not None:
        on_anchors = anchored(comparisons.items, estimate, output.anchor_values)
    assessed = None
    if quality:
        from domain.judging_quality import assess_quality
        from domain.next_pairs import RANDOM_SHARE

        share = RANDOM_SHARE if output.random_share is None else output.random_share
        assessed = assess_quality(
            comparisons, scores, estimate=estimate, findings=findings, random_share=share
        )
    if scaled is not None and output.csv_table == "scaled":
        from application.judging_scales import SCALED_COLUMNS

        rows = ([item[column] for column in SCALED_COLUMNS] for item in scaled["items"])
        typer.echo(csv_bytes(SCALED_COLUMNS, rows, output.csv_form), nl=False)
    elif on_anchors is not None and output.csv_table == "anchored":
        rows = ([getattr(each, column) for column in ANCHORED_COLUMNS] for each in on_anchors.texts)
        typer.echo(csv_bytes(ANCHORED_COLUMNS, rows, output.csv_form), nl=False)
    elif output.csv_table is not None:
        from infrastructure.cli.judging_tables import judging_table

        typer.echo(
            judging_table(
                output.csv_table,
                scores,
                findings,
                assessed,
                locale=output.locale,
                form=output.csv_form,
            ),
            nl=False,
        )
    elif output.as_json:
        answer = judging_document(scores, findings, assessed)
        if what_if is not None:
            answer["what_if"] = asdict(what_if)
        if scaled is not None:
            answer["scaled"] = scaled
        if on_anchors is not None:
            answer["anchored"] = [asdict(each) for each in on_anchors.texts]
        # Bytes, because standard output may be set to an encoding that cannot write every name.
        typer.echo(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode())
    else:
        from infrastructure.cli.judging_tables import print_judging

        print_judging(
            scores, findings, assessed, read_as=columns.found, locale=output.locale, what_if=what_if
        )
        if scaled is not None:
            print_scaled(scaled)
        if on_anchors is not None:
            print_anchored(on_anchors)


def locale_of_terminal() -> str:
    """The language by which names are sorted, as POSIX has it: LC_ALL, LC_COLLATE or LANG; empty if none is set."""
    return next((set_ for name in ("LC_ALL", "LC_COLLATE", "LANG") if (set_ := os.environ.get(name))), "")


def judging_document(
    scores: JudgingScores, findings: Findings, quality: JudgingQuality | None = None
) -> dict[str, Any]:
    """The JSON document of the command: what a reader relies on first, then what was added since.

    `components` lists the names of the items of each connected group, the largest group first; what is
    undefined (reliability across groups, or of a single item) is null.
    """
    from application.judging_findings import findings_body

    item_fields = ("item", "theta", "se", "infit", "outfit", "comparisons", "wins")
    document: dict[str, Any] = {
        "items": [{field: getattr(item, field) for field in item_fields} for item in scores.items],
        "judges": [asdict(judge) for judge in scores.judges],
        "ssr": scores.ssr,
        "separation_g": scores.separation_g,
        "components": [list(component.items) for component in scores.components],
        "component_reliability": [
            {
                "items": len(component.items),
                "decisions": component.decisions,
                "ssr": component.ssr,
                "separation_g": component.separation_g,
                "balanced_adjustment": component.balanced,
            }
            for component in scores.components
        ],
        "decisions": scores.decisions,
        "warnings": list(findings.warnings),
        "notes": list(findings.notes),
        "method_version": scores.method_version,
        "findings": findings_body(findings),
    }
    if quality is not None:
        document["quality"] = {
            field.name: _plain(getattr(quality, field.name))
            for field in fields(quality)
            if field.name != "findings"
        }
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
