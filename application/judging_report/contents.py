"""What a judging report shows: the session's figures, and what only its source knows of judges and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from application.judging_scales import ScaleOptions, scaled_scores
from domain.bradley_terry import Estimate, JudgingScores, estimate_scores, scores_of
from domain.comparison_graph import Comparisons, PairCounts
from domain.findings import find
from domain.judging_quality import JudgingQuality, assess_quality

MOST_SURPRISING = 20


@dataclass(frozen=True, slots=True)
class Surprise:
    """A decision against the scores; `probability` is that of what was chosen, `number` counts from 1."""

    number: int
    judge: str
    chosen: str
    not_chosen: str
    probability: float
    justification: str | None


@dataclass(frozen=True, slots=True, eq=False)
class ReportContents:
    """A session and everything computed of it. `mean_times_s` are seconds per decision, where they are known.

    `scaled` are scores on a scale and grades, where they are asked for; `published_grades` those that upstream published.
    """

    title: str
    comparisons: Comparisons
    estimate: Estimate
    scores: JudgingScores
    quality: JudgingQuality
    surprises: tuple[Surprise, ...]
    mean_times_s: Mapping[str, float] = field(default_factory=dict)
    scaled: Mapping[str, Any] | None = None
    published_grades: Mapping[str, str] = field(default_factory=dict)


def contents_of(
    title: str,
    comparisons: Comparisons,
    *,
    justifications: Sequence[str | None] | None = None,
    mean_times_s: Mapping[str, float] | None = None,
    scales: ScaleOptions | None = None,
    published_grades: Mapping[str, str] | None = None,
) -> ReportContents:
    """Compute a report; `justifications` are in the order of the decisions. Raises ScaleError."""
    estimate = estimate_scores(PairCounts.of(comparisons))
    scores = scores_of(comparisons, estimate)
    findings = find(comparisons, estimate, scores)
    quality = assess_quality(comparisons, scores, estimate=estimate, findings=findings)
    return ReportContents(
        title,
        comparisons,
        estimate,
        scores,
        quality,
        _surprises(comparisons, estimate, justifications),
        mean_times_s or {},
        None if scales is None else scaled_scores(comparisons.items, estimate, scores, findings, scales),
        published_grades or {},
    )


def _surprises(
    comparisons: Comparisons, estimate: Estimate, justifications: Sequence[str | None] | None
) -> tuple[Surprise, ...]:
    expected = estimate.moments(comparisons.chosen, comparisons.not_chosen).expected
    usable = comparisons.chosen != comparisons.not_chosen
    if comparisons.tied is not None:
        usable &= ~comparisons.tied
    order = np.argsort(np.where(usable, expected, 1.0), kind="stable")[:MOST_SURPRISING]
    return tuple(
        Surprise(
            row + 1,
            comparisons.judges[comparisons.judge[row]],
            comparisons.items[comparisons.chosen[row]],
            comparisons.items[comparisons.not_chosen[row]],
            float(expected[row]),
            None if justifications is None else justifications[row],
        )
        for row in order.tolist()
        if usable[row] and expected[row] < 0.5
    )
