"""`ras judging-link`: two judging sessions on one scale."""

from __future__ import annotations

import json
import os
from collections.abc import Set
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import typer

from domain.wording import counted
from infrastructure.cli.judging_csv import comparisons_of, read_decisions
from infrastructure.cli.standard_output import console
from infrastructure.errors import OperatorError
from infrastructure.spreadsheet_csv import CsvForm, csv_bytes

if TYPE_CHECKING:
    from domain.session_link import Link, Scored

LINKED_COLUMNS: Final = ("item", "theta", "se", "is_common")
_DISPLACED: Final = "displaced: the two sessions saw it differently; link without it to compare (--without)"


class LinkFilesError(OperatorError):
    """The sessions cannot be linked; the text says why."""

    exit_code = 2


def link_sessions(
    base_file: str, other_file: str, without: Set[str], *, as_json: bool, csv: CsvForm | None
) -> None:
    """Print the link of two files of decisions. Exit code 2 where they cannot be read or linked."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in `bradley_terry`

    from domain.session_link import LinkError, link

    base, other = _scored(base_file), _scored(other_file)
    if unknown := sorted(without - (base.keys() & other.keys())):
        raise LinkFilesError(f"--without: {unknown[0]!r} is not in both sessions.")
    try:
        found = link({name: scored for name, scored in base.items() if name not in without}, other)
    except LinkError as error:
        raise LinkFilesError(
            f"{base_file} and {other_file}: {error}. Names must be the same in both files."
        ) from error
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False, allow_nan=False).encode())
    elif csv is not None:
        rows = ([getattr(item, column) for column in LINKED_COLUMNS] for item in found.items)
        typer.echo(csv_bytes(LINKED_COLUMNS, rows, csv), nl=False)
    else:
        _print(found, base_file, other_file)


def _scored(file: str) -> dict[str, Scored]:
    columns = read_decisions(file)

    from domain.bradley_terry import estimate_scores, scores_of
    from domain.comparison_graph import PairCounts
    from domain.findings import find
    from domain.session_link import Scored

    comparisons = comparisons_of(columns, file)
    estimate = estimate_scores(PairCounts.of(comparisons))
    if estimate.n_components > 1:
        raise LinkFilesError(
            f"{file}: the comparisons fall into {estimate.n_components} groups that no decision connects, so the session "
            "has no scale of its own."
        )
    scores = scores_of(comparisons, estimate)
    further = find(comparisons, estimate, scores).items
    return {
        item.item: Scored(item.theta, more.se_full) for item, more in zip(scores.items, further, strict=True)
    }


def _print(found: Link, base_file: str, other_file: str) -> None:
    from infrastructure.cli.judging_tables import print_plain_table

    out = console()
    out.print(
        f"{counted(len(found.common), 'common text')}. The scores of {other_file} are moved by {found.shift:+.2f} logits "
        f"onto the scale of {base_file}."
    )
    out.print(
        f"Linking error {found.error:.2f} logits (from the {found.error_from}): it belongs to each moved score, and not to "
        "differences within the session."
    )
    if found.correlation is not None and found.spread_ratio is not None:
        out.print(
            f"The common texts correlate by {found.correlation:.2f}; their spread in the base is {found.spread_ratio:.2f} "
            "times that in the other session (1: judges discriminated equally well)."
        )
    else:
        out.print("Warning: with fewer than three common texts nothing shows whether they kept their places.")
    for text in found.common:
        if text.flagged:
            out.print(f"Warning: {text.item} is {_DISPLACED}.")
    print_plain_table(
        "Common texts (displacement: base minus moved score; flagged "
        f"beyond {found.flagged_beyond:.2f} of its se)",
        ("item", "base", "other", "displacement", "se", "flagged"),
        [
            (
                text.item,
                *(
                    f"{value:.2f}"
                    for value in (text.base_theta, text.other_theta, text.displacement, text.displacement_se)
                ),
                "yes" if text.flagged else "-",
            )
            for text in found.common
        ],
    )
    print_plain_table(
        f"Texts of {other_file} on the scale of {base_file}",
        ("item", "theta", "se", "common"),
        [
            (item.item, f"{item.theta:.2f}", f"{item.se:.2f}", "yes" if item.is_common else "-")
            for item in found.items
        ],
    )
