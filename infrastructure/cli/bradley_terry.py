"""`ras bradley-terry`: scores, errors and reliability of a judging session in a CSV file.

What computes and prints (numpy, rich) is imported once the file has been read: a broken one is refused at once.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from infrastructure.cli.judging_csv import read_decisions

if TYPE_CHECKING:
    from domain.bradley_terry import JudgingScores
    from domain.judging_quality import JudgingQuality


def bradley_terry(decisions: str, *, as_json: bool, quality: bool) -> None:
    """Print the scores of the decisions in a file, `-` for standard input. Exit code 2 where it cannot be read."""
    columns = read_decisions(decisions)

    from domain.bradley_terry import score
    from domain.comparison_graph import Comparisons

    comparisons = Comparisons.from_names(*columns)
    scores = score(comparisons)
    assessed = None
    if quality:
        from domain.judging_quality import assess_quality

        assessed = assess_quality(comparisons, scores)
    if as_json:
        answer = judging_document(scores, assessed)
        # Bytes, because standard output may be set to an encoding that cannot write every name.
        typer.echo(json.dumps(answer, ensure_ascii=False, allow_nan=False).encode())
    else:
        from infrastructure.cli.judging_tables import print_judging

        print_judging(scores, assessed)


def judging_document(scores: JudgingScores, quality: JudgingQuality | None = None) -> dict[str, Any]:
    """The JSON document of the command: what a reader relies on first, then what was added since.

    `components` lists the names of the items of each connected group, the largest group first; what is
    undefined (reliability across groups, or of a single item) is null.
    """
    from domain.judging_quality import ADAPTIVE_PAIRING_NOTE

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
        "warnings": list(scores.warnings),
        "notes": [ADAPTIVE_PAIRING_NOTE],
        "method_version": scores.method_version,
    }
    if quality is not None:
        document["quality"] = asdict(quality)
    return document
