"""Scores on a chosen scale and grades, for `ras bradley-terry`: as JSON, as a CSV table, and on a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from infrastructure.cli.judging_plan import named_rows, numbers_in
from infrastructure.errors import OperatorError

if TYPE_CHECKING:
    from domain.bradley_terry import Estimate, JudgingScores
    from domain.findings import Findings
    from domain.scales import Boundary, Linear

ANCHORED_COLUMNS: Final = (
    *("item", "theta", "se", "is_fixed", "displacement", "displacement_se", "flagged"),
)
SCALED_COLUMNS: Final = ("item", "theta", "scaled", "scaled_se", "true_score", "grade", "meets_standard")
_NUMBER: Final = r"(-?\d+(?:\.\d+)?)"
_ENDS: Final = re.compile(rf"{_NUMBER}-{_NUMBER}")
_MEAN: Final = re.compile(rf"mean={_NUMBER},spread={_NUMBER}")


class ScaleOptionsError(OperatorError):
    """The scale or the grades cannot be made; the text says why."""

    exit_code = 2


class ScaleOptions(NamedTuple):
    """A scale (`0-100` or `mean=500,spread=100`), a file of anchors, the order of grades, a text that is the standard."""

    scale: str | None = None
    anchors: str | None = None
    grades: str | None = None
    standard: str | None = None

    @property
    def are_none(self) -> bool:
        """Whether nothing is asked for."""
        return self == ScaleOptions()


def scaled_scores(
    names: Sequence[str], estimate: Estimate, scores: JudgingScores, findings: Findings, wanted: ScaleOptions
) -> dict[str, Any]:
    """The items in the order of the scores, and the boundaries, as JSON values. Raises ScaleOptionsError."""
    from domain.bradley_terry import DECIMALS
    from domain.scales import ScaleError, boundaries, grade_of, true_scores

    theta = {item.item: item.theta for item in scores.items}
    if estimate.n_components > 1:
        raise ScaleOptionsError(
            "The comparisons fall into groups that no decision connects: there is no common scale. "
            "Compare texts of different groups, or score each group alone."
        )
    if wanted.standard is not None and wanted.standard not in theta:
        raise ScaleOptionsError(f"--standard: there is no text {wanted.standard!r}.")
    try:
        scale = _scale(wanted.scale, estimate)
        found: tuple[Boundary, ...] = ()
        if wanted.anchors is not None:
            rows = named_rows(wanted.anchors, "item", "grade")
            grades = {row["item"]: row["grade"].strip() for row in rows}
            order = [each.strip() for each in (wanted.grades or "").split(",") if each.strip()]
            found = boundaries(names, estimate, grades, order or sorted({*grades.values()}, reverse=True))
    except ScaleError as error:
        raise ScaleOptionsError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    true = dict(zip(names, true_scores(estimate).tolist(), strict=True))
    items = [
        {
            "item": item.item,
            "theta": item.theta,
            "scaled": None if scale is None else scale.of(item.theta),
            "scaled_se": None if scale is None else round(abs(scale.slope) * more.se_full, DECIMALS),
            "true_score": round(true[item.item], DECIMALS),
            "grade": grade_of(item.theta, found) if found else None,
            "meets_standard": None if wanted.standard is None else item.theta >= theta[wanted.standard],
        }
        for item, more in zip(scores.items, findings.items, strict=True)
    ]
    lines = [
        {
            **asdict(each),
            "scaled": None if scale is None or each.theta is None else scale.of(each.theta),
        }
        for each in found
    ]
    return {"scale": None if scale is None else asdict(scale), "items": items, "boundaries": lines}


def anchored(names: Sequence[str], estimate: Estimate, file: str) -> list[dict[str, Any]]:
    """The items on the scale of anchors with fixed values, as JSON values. Raises ScaleOptionsError."""
    from domain.fixed_anchors import AnchorValuesError, anchored_scores

    rows = named_rows(file, "item", "value")
    values = numbers_in(rows, "value", file)
    fixed = {row["item"]: values[k] for k, row in enumerate(rows)}
    if len(fixed) < len(rows):
        raise ScaleOptionsError(f"{file}: an anchor is there twice.")
    try:
        return [asdict(score) for score in anchored_scores(names, estimate, fixed)]
    except AnchorValuesError as error:
        raise ScaleOptionsError(f"{file}: {error}.") from error


def print_anchored(found: Sequence[dict[str, Any]]) -> None:
    """Print the items, and which anchors the decisions would move."""
    from infrastructure.cli.judging_tables import print_plain_table

    rows = [
        (
            item["item"],
            _text(item["theta"]),
            "fixed" if item["is_fixed"] else _text(item["se"]),
            _text(item["displacement"]),
            _text(item["displacement_se"]),
            "yes" if item["flagged"] else "-",
        )
        for item in found
    ]
    print_plain_table(
        "On the scale of the fixed anchors (displacement: how far the decisions would move an anchor)",
        ("item", "theta", "se", "displacement", "its se", "flagged"),
        rows,
    )


def print_scaled(found: dict[str, Any]) -> None:
    """Print the items and the boundaries as tables."""
    from infrastructure.cli.judging_tables import print_plain_table

    rows = [tuple(_text(item[column]) for column in SCALED_COLUMNS) for item in found["items"]]
    print_plain_table(
        "Scaled scores and grades", tuple(name.replace("_", " ") for name in SCALED_COLUMNS), rows
    )
    if found["boundaries"]:
        print_plain_table(
            "Grade boundaries from the anchors (-: the anchors are not in the order of the grades)",
            ("between", "theta", "se", "scaled"),
            [
                (f"{line['below']} and {line['above']}", *(_text(line[c]) for c in ("theta", "se", "scaled")))
                for line in found["boundaries"]
            ],
        )


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _scale(given: str | None, estimate: Estimate) -> Linear | None:
    from domain.scales import with_ends, with_mean_and_spread

    if given is None:
        return None
    if ends := _ENDS.fullmatch(given.replace(" ", "")):
        return with_ends(estimate.theta, float(ends[1]), float(ends[2]))
    if mean := _MEAN.fullmatch(given.replace(" ", "")):
        return with_mean_and_spread(estimate.theta, float(mean[1]), float(mean[2]))
    raise ScaleOptionsError(f"--scale: {given!r} is neither LOW-HIGH such as 0-100 nor mean=500,spread=100.")
