"""Do the scores so far predict the next decision? A test that no choice of pairs can flatter.

Each decision is predicted, in the order made, from the decisions before it alone (A. P. Dawid 1984, *Journal of
the Royal Statistical Society A* 147(2), 278-292: prequential evaluation). Whatever rule chose the pair knew no
more than that either, so judges who toss coins are predicted in half of the cases, whether pairs were drawn at
random, by Swiss rounds or from a list of the most informative ones. SSR and split-half reliability have no such
protection: they inherit the pairing.

Scores are refitted at a bounded number of points (`domain.shrunken_scores`), more closely spaced at the start;
between two points the earlier ones count. A decision is predicted when both of its texts were judged before and
their scores differ. Reported are the share predicted correctly and the mean logarithmic score (log p of what was
chosen, in nats: I. J. Good 1952, *Journal of the Royal Statistical Society B* 14(1), 107-114), with 95 %
intervals, beside what the final scores promise for the same decisions: the means of max(p, 1 - p) and of
p log p + (1 - p) log (1 - p).

The test against chance gives each prediction the weight that it claims, w = |2 p - 1|: under coin tosses the hits are
independent with probability 1/2 whatever rule chose the pairs, so that sum w (hit - 1/2) has mean 0 and variance
sum w^2 / 4, and is nearly normal. Without weights, the many predictions about near-equal texts of an adaptive session
would drown the others.

That a few decisions could not be predicted is no proof of coins: honest judges of near-equal texts are predicted
little better. "No better than chance" is reported only where the decisions as a whole allow it, too
(`domain.tossed_coins`). Otherwise the test cannot tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import DECIMALS, Estimate
from domain.comparison_graph import Comparisons, FloatArray, IndexArray, sums_by
from domain.outcome_model import win_probability
from domain.proportions import Z_95, Share, share_of
from domain.shrunken_scores import shrunken_scores
from domain.tossed_coins import speak_for_coins

SIGNIFICANT = 0.001
"""Better than chance is claimed below this p value only: a report must not praise one in forty coin tosses."""
UNDECIDED = 0.01
"""Between `SIGNIFICANT` and this p value nothing is claimed."""
FEWEST = 30
CHANCE_LOG_SCORE = -math.log(2)
_POINTS_BY_ITEMS = 7_500
_FEWEST_POINTS, _MOST_POINTS = 12, 100
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class ForwardTest:
    """`correct` of the predicted decisions; `p_value` against coin tosses; promises of the final scores.

    `better_than_chance` is None where it cannot be told: fewer than `FEWEST` decisions could be predicted, the p value
    lies between the two limits, or few were predicted and the decisions do not speak for coins either.
    """

    correct: Share
    promised_share: float | None
    log_score: float | None
    log_score_lower: float | None
    log_score_upper: float | None
    promised_log_score: float | None
    p_value: float | None
    better_than_chance: bool | None
    refits: int


@dataclass(frozen=True, slots=True, eq=False)
class Foresight:
    """Per decision the difference of the scores at the time (chosen minus not chosen, logits); nan: unknown.

    `usual_gap` and `gap_variance` are mean and variance of the absolute difference of all pairs of texts judged
    by then: what a pair drawn at random would have had.
    """

    difference: FloatArray
    usual_gap: FloatArray
    gap_variance: FloatArray
    refits: int


def foresee(comparisons: Comparisons) -> Foresight:
    """The scores at the time of each decision, in the order given."""
    total, n = len(comparisons), len(comparisons.items)
    low = np.minimum(comparisons.chosen, comparisons.not_chosen)
    high = np.maximum(comparisons.chosen, comparisons.not_chosen)
    key, pair = np.unique(low * n + high, return_inverse=True)
    pair_low, pair_high = key // n, key % n
    low_won = np.where(comparisons.chosen == low, comparisons.wins, 1 - comparisons.wins)
    low_won[low == high] = 0.5
    difference = np.full(total, np.nan)
    usual_gap, gap_variance = np.full(total, np.nan), np.full(total, np.nan)
    theta = np.zeros(n)
    points = _refit_points(total, n)
    for start, end in zip(points, [*points[1:], total], strict=True):
        judged = np.bincount(pair[:start], minlength=len(key)).astype(np.float64)
        known = judged > 0
        theta = shrunken_scores(
            n,
            pair_low[known],
            pair_high[known],
            judged[known],
            sums_by(pair[:start], low_won[:start], len(key))[known],
            start=theta,
        )
        seen = np.zeros(n, dtype=np.bool_)
        seen[pair_low[known]] = seen[pair_high[known]] = True
        chosen, not_chosen = comparisons.chosen[start:end], comparisons.not_chosen[start:end]
        both = seen[chosen] & seen[not_chosen] & (chosen != not_chosen)
        difference[start:end] = np.where(both, theta[chosen] - theta[not_chosen], np.nan)
        mean, variance = gaps_of_all_pairs(theta[seen])
        usual_gap[start:end], gap_variance[start:end] = mean, variance
    return Foresight(difference, usual_gap, gap_variance, len(points))


def forward_test(comparisons: Comparisons, estimate: Estimate, foresight: Foresight) -> ForwardTest:
    """Hits and log score of `foresight`, beside the promise of the final `estimate`."""
    predicted = ~np.isnan(foresight.difference)
    predicted[predicted] = np.abs(foresight.difference[predicted]) > _SAME
    if comparisons.tied is not None:
        predicted &= ~comparisons.tied
    n = int(predicted.sum())
    if not n:
        return ForwardTest(share_of(0, 0), None, None, None, None, None, None, None, foresight.refits)
    difference = foresight.difference[predicted]
    hits = int((difference > 0).sum())
    logs = np.log(win_probability(difference))
    mean, error = float(logs.mean()), float(logs.std(ddof=1)) / n**0.5 if n > 1 else math.inf
    final = np.abs(
        estimate.theta[comparisons.chosen[predicted]] - estimate.theta[comparisons.not_chosen[predicted]]
    )
    p, q = win_probability(final), win_probability(-final)
    weight = np.abs(2 * win_probability(difference) - 1)
    surplus = float((weight * np.where(difference > 0, 0.5, -0.5)).sum())
    p_value = math.erfc(surplus / float((weight**2).sum() / 4) ** 0.5 / math.sqrt(2)) / 2
    return ForwardTest(
        correct=share_of(hits, n),
        promised_share=round(float(p.mean()), DECIMALS),
        log_score=round(mean, DECIMALS),
        log_score_lower=round(mean - Z_95 * error, DECIMALS) if n > 1 else None,
        log_score_upper=round(mean + Z_95 * error, DECIMALS) if n > 1 else None,
        promised_log_score=round(float((p * np.log(p) + q * np.log(np.maximum(q, 1e-300))).mean()), DECIMALS),
        p_value=float(f"{p_value:.6g}"),
        better_than_chance=_better_than_chance(n, p_value, estimate),
        refits=foresight.refits,
    )


def _better_than_chance(n: int, p_value: float, estimate: Estimate) -> bool | None:
    if n < FEWEST or SIGNIFICANT <= p_value < UNDECIDED:
        return None
    if p_value < SIGNIFICANT:
        return True
    return False if speak_for_coins(estimate.counts) else None


def _refit_points(total: int, n: int) -> list[int]:
    """Decisions known at each refit, from 1; every decision is a point in short sessions."""
    wanted = min(max(_POINTS_BY_ITEMS // n, _FEWEST_POINTS), _MOST_POINTS)
    if total <= wanted + 1:
        return list(range(1, total)) or [0]
    spaced: IndexArray = np.round(total * (np.arange(1, wanted + 1) / (wanted + 1)) ** 1.5).astype(np.intp)
    return sorted({max(int(point), 1) for point in spaced})


def gaps_of_all_pairs(theta: FloatArray) -> tuple[float, float]:
    """Mean and variance of |theta_i - theta_j| over all pairs, from the sorted scores."""
    n = len(theta)
    if n < 2:
        return math.nan, math.nan
    weights = 2 * np.arange(1, n + 1) - n - 1
    mean = 2 * float((weights * np.sort(theta)).sum()) / (n * (n - 1))
    return mean, max(2 * float(theta.var(ddof=1)) - mean**2, 0.0)
