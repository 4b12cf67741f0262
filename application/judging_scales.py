"""Scores on a chosen scale and grades: what the terminal and the report show of `domain.scales`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from domain.bradley_terry import DECIMALS, Estimate, JudgingScores
from domain.findings import Findings
from domain.scales import (
    Boundary,
    Linear,
    ScaleError,
    boundaries,
    grade_of,
    true_scores,
    with_ends,
    with_mean_and_spread,
)

SCALED_COLUMNS: Final = ("item", "theta", "scaled", "scaled_se", "true_score", "grade", "meets_standard")
BOUNDARY_COLUMNS: Final = ("below", "above", "theta", "se", "scaled")
_NUMBER: Final = r"(-?\d+(?:\.\d+)?)"
_ENDS: Final = re.compile(rf"{_NUMBER}-{_NUMBER}")
_MEAN: Final = re.compile(rf"mean={_NUMBER},spread={_NUMBER}")


class ScaleOptions(NamedTuple):
    """A scale (`0-100` or `mean=500,spread=100`), the grades of anchors by name, their order, a text that is the standard.

    `order` has the lowest grade first; empty, A is the highest.
    """

    scale: str | None = None
    grades: Mapping[str, str] | None = None
    order: Sequence[str] = ()
    standard: str | None = None


def grade_order(given: str | None) -> tuple[str, ...]:
    """Return grades as they are given between commas, the lowest first; empty without any."""
    return tuple(each.strip() for each in (given or "").split(",") if each.strip())


def scaled_scores(
    names: Sequence[str], estimate: Estimate, scores: JudgingScores, findings: Findings, wanted: ScaleOptions
) -> dict[str, Any]:
    """Return the items in the order of the scores, and the boundaries, as JSON values. Raises ScaleError."""
    theta = {item.item: item.theta for item in scores.items}
    if estimate.n_components > 1:
        raise ScaleError(
            "the comparisons fall into groups that no decision connects: there is no common scale; "
            "compare texts of different groups, or score each group alone"
        )
    if wanted.standard is not None and wanted.standard not in theta:
        raise ScaleError(f"there is no text {wanted.standard!r} to be the standard")
    scale = None if wanted.scale is None else _scale(wanted.scale, estimate)
    found: tuple[Boundary, ...] = ()
    if wanted.grades is not None:
        order = wanted.order or sorted({*wanted.grades.values()}, reverse=True)
        found = boundaries(names, estimate, wanted.grades, order)
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


def _scale(given: str, estimate: Estimate) -> Linear:
    if ends := _ENDS.fullmatch(given.replace(" ", "")):
        return with_ends(estimate.theta, float(ends[1]), float(ends[2]))
    if mean := _MEAN.fullmatch(given.replace(" ", "")):
        return with_mean_and_spread(estimate.theta, float(mean[1]), float(mean[2]))
    raise ScaleError(f"the scale {given!r} is neither LOW-HIGH such as 0-100 nor mean=500,spread=100")
