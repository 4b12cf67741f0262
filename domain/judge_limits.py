"""Which judges decide differently from the others? Limits that work from three judges upwards.

The usual rule, infit above mean + 2 sd of all judges, cannot flag one of five: a judge far from the rest moves mean
and sd himself. Two figures leave the judge out instead (R. D. Cook 1977, *Technometrics* 19(1), 15-18, for the idea):

- *Agreement with the others*: texts are scored from the decisions of all other judges (`domain.shrunken_scores`);
  agreement is the share of the judge's decisions for the text that the others place higher. Decisions on texts
  that the others did not judge, or between which they see no difference, do not count. Its limit is the mean
  minus 2 sd of the other judges' agreement, contrary ones left out.
- *Infit*: its limit is the mean, at least 1, plus 3 sd of the other judges' infit (at 2 sd one of forty would
  be named by chance), the sd being at least what chance makes of
  the judge's number of decisions, sqrt(sum v (1 - 4 v)) / sum v with v = p (1 - p) (B. D. Wright and G. N. Masters
  1982, *Rating Scale Analysis*, section 5).

A judge is `contrary` when the 95 % interval of his agreement lies below one half, `deviating` when it lies below the
limit or the infit is above its own; `cannot_tell` with fewer than three judges, fewer than `FEWEST` comparable
decisions, fewer than two others who are not contrary, or an interval that reaches one half or below; else `agrees`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from domain.bradley_terry import DECIMALS, Estimate, JudgeFit
from domain.comparison_graph import Comparisons, FloatArray, IndexArray, sums_by
from domain.laplacian import Laplacian
from domain.outcome_model import win_probability
from domain.proportions import Share, share_of
from domain.shrunken_scores import PRIOR_SD, shrunken_scores

FEWEST_JUDGES = 3
FEWEST = 10
MOST_JUDGES = 200
"""The judges with the most decisions; further ones are compared with the scores of all judges, themselves included."""
_INFIT_SDS = 3
_FEW_ITEMS, _MOST_ITEMS_REFITTED = 150, 600
_LARGE_SHARE = 0.05
_SAME = 1e-6


class Verdict(StrEnum):
    """What can be said of a judge."""

    AGREES = "agrees"
    DEVIATING = "deviating"
    CONTRARY = "contrary"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class JudgeCheck:
    """One judge against the others; a limit is None with fewer than three judges.

    The agreement has no limit, too, where no other judge's decisions can be compared with the rest.
    """

    judge: str
    agreement: Share
    agreement_limit: float | None
    infit: float
    infit_limit: float | None
    verdict: Verdict

    @property
    def flagged(self) -> bool:
        """Whether the judge decides otherwise than the rest."""
        return self.verdict in (Verdict.CONTRARY, Verdict.DEVIATING)


def judge_checks(
    comparisons: Comparisons, estimate: Estimate, fits: Sequence[JudgeFit]
) -> tuple[JudgeCheck, ...]:
    """Every judge, by name."""
    n_judges = len(comparisons.judges)
    hits, compared = _agreement_with_others(comparisons)
    variance = estimate.moments(comparisons.chosen, comparisons.not_chosen).variance
    excess = sums_by(comparisons.judge, np.maximum(variance * (1 - 4 * variance), 0.0), n_judges)
    chance_sd = np.sqrt(excess) / sums_by(comparisons.judge, variance, n_judges)
    infit = np.array([fit.infit for fit in fits])
    agreements = [
        share_of(round(hit, DECIMALS), int(n))
        for hit, n in zip(hits.tolist(), compared.tolist(), strict=True)
    ]
    contrary = np.array([each.upper is not None and each.upper < 0.5 for each in agreements])
    checks = []
    for j, name in enumerate(comparisons.judges):
        lowest, highest = None, None
        # A contrary judge must not widen the limits of the others, unless there is nobody else to compare with.
        others = (np.arange(n_judges) != j) & ~contrary
        clear = int(others.sum()) >= FEWEST_JUDGES - 1
        if not others.any():
            others = np.arange(n_judges) != j
        if n_judges >= FEWEST_JUDGES:
            rates = [
                a.share
                for a, counts in zip(agreements, others, strict=True)
                if counts and a.share is not None
            ]
            lowest = _limit(np.array(rates), agreements[j].n)
            spread = max(_spread(infit[others]), float(chance_sd[j]))
            # Infits of a small panel lie below 1, being fitted; 1 itself is as the model expects.
            highest = max(float(infit[others].mean()), 1.0) + _INFIT_SDS * spread
        # Of two who contradict each other nobody can tell which of them is contrary: the limits are printed, no verdict.
        verdict = Verdict.CANNOT_TELL
        if clear:
            verdict = _verdict(agreements[j], lowest, fits[j].infit, highest)
        checks.append(
            JudgeCheck(name, agreements[j], _rounded(lowest), fits[j].infit, _rounded(highest), verdict)
        )
    return tuple(checks)


def _verdict(agreement: Share, lowest: float | None, infit: float, highest: float | None) -> Verdict:
    if (
        lowest is None
        or highest is None
        or agreement.upper is None
        or agreement.lower is None
        or agreement.n < FEWEST
    ):
        return Verdict.CANNOT_TELL
    if agreement.upper < 0.5:
        return Verdict.CONTRARY
    if agreement.upper < lowest or infit > highest:
        return Verdict.DEVIATING
    return Verdict.CANNOT_TELL if agreement.lower <= 0.5 else Verdict.AGREES


def _limit(others: FloatArray, n: int) -> float | None:
    """Mean - 2 sd of the other judges' agreement, the sd at least what chance makes of `n` decisions."""
    if not len(others):
        return None
    mean = float(others.mean())
    chance = (mean * (1 - mean) / max(n, 1)) ** 0.5
    limit: float = max(mean - 2 * max(_spread(others), chance), 0.0)
    return limit


def _spread(others: FloatArray) -> float:
    """The standard deviation; 0 of one judge, of whom chance alone tells how far others may lie from him."""
    return float(others.std(ddof=1)) if len(others) > 1 else 0.0


def _agreement_with_others(comparisons: Comparisons) -> tuple[FloatArray, FloatArray]:
    """Per judge: decisions that agree with the scores of the others, and decisions that can be compared."""
    ordered = comparisons.in_canonical_order()
    n, n_judges = len(ordered.items), len(ordered.judges)
    low = np.minimum(ordered.chosen, ordered.not_chosen)
    high = np.maximum(ordered.chosen, ordered.not_chosen)
    pairs, pair = np.unique(low * n + high, return_inverse=True)
    pair_low, pair_high = pairs // n, pairs % n
    low_won = np.where(ordered.chosen == low, ordered.wins, 1 - ordered.wins)
    judged = np.bincount(pair, minlength=len(pairs)).astype(np.float64)
    won = sums_by(pair, low_won, len(pairs))
    theta = shrunken_scores(n, pair_low, pair_high, judged, won, start=np.zeros(n))
    seen_by_all = np.bincount(low, minlength=n) + np.bincount(high, minlength=n)
    decided = (low != high) if ordered.tied is None else (low != high) & ~ordered.tied
    bounds = np.searchsorted(ordered.judge, np.arange(n_judges + 1))
    busiest = np.argsort(-np.diff(bounds), kind="stable")[:MOST_JUDGES].tolist()
    without = _scores_without(n, pair_low, pair_high, judged, won, theta, pair, low_won, bounds, busiest)
    hits, compared = np.zeros(n_judges), np.zeros(n_judges)
    for j in range(n_judges):
        rows = np.arange(bounds[j], bounds[j + 1])
        rows = rows[decided[rows]]
        own = np.bincount(low[bounds[j] : bounds[j + 1]], minlength=n) + np.bincount(
            high[bounds[j] : bounds[j + 1]], minlength=n
        )
        known = seen_by_all > own
        scores = without.get(j, theta)
        difference = scores[ordered.chosen[rows]] - scores[ordered.not_chosen[rows]]
        usable = known[low[rows]] & known[high[rows]] & (np.abs(difference) > _SAME)
        hits[j] = float((difference[usable] > 0).sum())
        compared[j] = float(usable.sum())
    return hits, compared


def _scores_without(
    n: int,
    low: IndexArray,
    high: IndexArray,
    judged: FloatArray,
    won: FloatArray,
    theta: FloatArray,
    pair: IndexArray,
    low_won: FloatArray,
    bounds: IndexArray,
    judges: Sequence[int],
) -> dict[int, FloatArray]:
    """Scores without each of `judges`: refitted, or by one Newton step from the scores of all.

    The step solves with the information of all judges, for many judges at once. It is exact to first order in the
    judge's share of the decisions, and serves where there are many texts: with more than 600 for all judges, with
    more than 150 for those with at most 5 % of the decisions.
    """
    found: dict[int, FloatArray] = {}
    by_step: list[int] = []
    for j in judges:
        own = slice(bounds[j], bounds[j + 1])
        large = bounds[j + 1] - bounds[j] > _LARGE_SHARE * bounds[-1]
        if n > _MOST_ITEMS_REFITTED or (n > _FEW_ITEMS and not large):
            by_step.append(j)
            continue
        left = judged - np.bincount(pair[own], minlength=len(judged))
        wins_left = won - sums_by(pair[own], low_won[own], len(judged))
        kept = left > 0
        found[j] = shrunken_scores(n, low[kept], high[kept], left[kept], wins_left[kept], start=theta)
    if by_step:
        p = win_probability(theta[low] - theta[high])
        information = Laplacian(n, low, high, judged * p * (1 - p), PRIOR_SD**-2)
        right = np.empty((n, len(by_step)))
        for column, j in enumerate(by_step):
            own = slice(bounds[j], bounds[j + 1])
            surplus = low_won[own] - p[pair[own]]
            right[:, column] = sums_by(high[pair[own]], surplus, n) - sums_by(low[pair[own]], surplus, n)
        moved = information.solve(right)
        found |= {j: theta + moved[:, column] for column, j in enumerate(by_step)}
    return found


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DECIMALS)
