"""Does the text that is shown first win more often? For each judge, and as a term in the model.

For each judge: the share of decisions for the first-shown text with its interval and the two-sided sign test (each
text is shown first as often as not, or the pairs differ enough, so that 1/2 is what a judge without preference
comes to); and, of the pairs seen in both orders, how often the same text was chosen both times.

In the model the first position has an advantage of delta logits (R. R. Davidson and R. J. Beaver 1977, *Biometrics*
33(4), 693-702; gamma = exp(delta) there):

    log odds of choosing the first = theta_first - theta_second + delta.

delta solves "first-shown texts chosen = expected", the number drawn in by eps as wins are, in turns with the score
equations of `domain.score_equations` until neither moves; where these have no solution with delta (a judge who
always takes the first text says nothing of the texts), with the scores of `domain.shrunken_scores`. Its standard
error allows for what it shares with the scores. Decisions whose order is unknown, and undecided ones, are left out of
this model; scores with and without delta are of the same decisions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import DECIMALS
from domain.comparison_graph import (
    FIRST,
    NOT_KNOWN,
    Comparisons,
    FloatArray,
    IndexArray,
    PairCounts,
    TruthArray,
    connected_components,
    sums_by,
)
from domain.laplacian import Laplacian
from domain.outcome_model import win_probability
from domain.proportions import Z_95, Share, share_of, two_sided
from domain.score_equations import EPSILON, NoFiniteSolutionError, solve_with_advantage
from domain.shrunken_scores import shrunken_scores

SIGNIFICANT = 0.001
"""Shared out over the judges (Bonferroni): among fifty without a preference none should be named."""
STRONG_SHARE = 0.6
STRONG_DELTA = 0.3
"""Logits: the first of two equal texts is chosen in 57 % of comparisons."""
_MOST_TURNS = 100
_MOST_ALTERNATIONS = 30
_CONVERGED = 1e-9
_LONGEST_STEP = 2.0


@dataclass(frozen=True, slots=True)
class JudgePosition:
    """One judge. `p_value` is that of the sign test; `both_orders` counts pairs seen in both orders.

    `same_choice` is the share of comparable decisions on these pairs in which the same text was chosen.
    `flagged`: the first (or second) text is chosen far too often for chance.
    """

    judge: str
    first: Share
    p_value: float | None
    both_orders: int
    same_choice: Share
    flagged: bool


@dataclass(frozen=True, slots=True)
class ItemShift:
    """A text's score without and with the order effect, on the decisions whose order is known."""

    item: str
    theta_without: float
    theta_with: float


@dataclass(frozen=True, slots=True)
class PositionEffect:
    """`known` decisions have a known order. `delta` is in logits; `matters`: significant and large."""

    known: int
    unknown: int
    first: Share
    p_value: float | None
    delta: float | None
    delta_se: float | None
    delta_lower: float | None
    delta_upper: float | None
    matters: bool
    judges: tuple[JudgePosition, ...]
    items: tuple[ItemShift, ...]


def position_effect(comparisons: Comparisons, epsilon: float = EPSILON) -> PositionEffect | None:
    """The order effect; None where the order of no decision is known."""
    if comparisons.place is None:
        return None
    usable = (comparisons.place != NOT_KNOWN) & (comparisons.chosen != comparisons.not_chosen)
    if comparisons.tied is not None:
        usable &= ~comparisons.tied
    rows = np.flatnonzero(usable)
    if not len(rows):
        return None
    known = comparisons.take(rows)
    assert known.place is not None
    first_won = known.place == FIRST
    n, hits = len(known), int(first_won.sum())
    p_value = two_sided(hits, n)
    delta, error, shifts = _in_the_model(known, first_won, epsilon)
    bounds = (None, None) if error is None else (delta - Z_95 * error, delta + Z_95 * error)
    return PositionEffect(
        known=n,
        unknown=len(comparisons) - n,
        first=share_of(hits, n),
        p_value=_significant_digits(p_value),
        delta=round(delta, DECIMALS),
        delta_se=None if error is None else round(error, DECIMALS),
        delta_lower=None if bounds[0] is None else round(bounds[0], DECIMALS),
        delta_upper=None if bounds[1] is None else round(bounds[1], DECIMALS),
        matters=p_value < SIGNIFICANT and abs(delta) > STRONG_DELTA,
        judges=_judges(known, first_won),
        items=shifts,
    )


def _judges(known: Comparisons, first_won: TruthArray) -> tuple[JudgePosition, ...]:
    n_judges = len(known.judges)
    n = np.bincount(known.judge, minlength=n_judges)
    hits = np.bincount(known.judge, weights=first_won, minlength=n_judges).astype(np.intp)
    both, same, compared = _both_orders(known, first_won)
    found = []
    for j, judge in enumerate(known.judges):
        share, p_value = share_of(int(hits[j]), int(n[j])), two_sided(int(hits[j]), int(n[j]))
        strong = share.share is not None and max(share.share, 1 - share.share) >= STRONG_SHARE
        found.append(
            JudgePosition(
                judge,
                share,
                _significant_digits(p_value),
                int(both[j]),
                share_of(round(float(same[j]), DECIMALS), int(compared[j])),
                flagged=strong and p_value < SIGNIFICANT / n_judges,
            )
        )
    return tuple(found)


def _both_orders(known: Comparisons, first_won: TruthArray) -> tuple[IndexArray, FloatArray, IndexArray]:
    """Per judge: pairs seen in both orders, agreements across the orders, and how many of the latter count.

    A pair seen a times in one order and b times in the other counts min(a, b) times, with the probability that
    a decision drawn from the one order equals one drawn from the other.
    """
    n, n_judges = len(known.items), len(known.judges)
    low = np.minimum(known.chosen, known.not_chosen)
    low_won = known.chosen == low
    low_first = first_won == low_won
    key = (known.judge * n + low) * n + np.maximum(known.chosen, known.not_chosen)
    pairs, pair = np.unique(key, return_inverse=True)
    seen = [sums_by(pair, (low_first == first).astype(np.float64), len(pairs)) for first in (True, False)]
    won = [
        sums_by(pair, ((low_first == first) & low_won).astype(np.float64), len(pairs))
        for first in (True, False)
    ]
    usable = (seen[0] > 0) & (seen[1] > 0)
    one, other = (won[k][usable] / seen[k][usable] for k in (0, 1))
    weight = np.minimum(seen[0][usable], seen[1][usable])
    judge = pairs[usable] // n**2
    return (
        np.bincount(judge, minlength=n_judges),
        sums_by(judge, weight * (one * other + (1 - one) * (1 - other)), n_judges),
        sums_by(judge, weight, n_judges).astype(np.intp),
    )


def _in_the_model(
    known: Comparisons, first_won: TruthArray, epsilon: float
) -> tuple[float, float | None, tuple[ItemShift, ...]]:
    n = len(known.items)
    first = np.where(first_won, known.chosen, known.not_chosen)
    second = np.where(first_won, known.not_chosen, known.chosen)
    pairs, pair = np.unique(first * n + second, return_inverse=True)
    won = sums_by(pair, first_won.astype(np.float64), len(pairs))
    judged = np.bincount(pair, minlength=len(pairs)).astype(np.float64)
    counts = PairCounts(n, pairs // n, pairs % n, won, judged - won, np.zeros(n))
    parts = counts.split(connected_components(counts))
    # With the order effect by the same equations as without it.
    without, usual = _scores(parts, 0.0, epsilon, np.zeros(n), [None] * len(parts))
    wanted = float(judged.sum())
    wanted = epsilon + (wanted - 2 * epsilon) / wanted * float(won.sum())
    try:
        theta, delta = _in_turns(
            counts, wanted, without, lambda at, before: _scores(parts, at, epsilon, before, usual)[0]
        )
    except NoFiniteSolutionError:
        theta, delta = _in_turns(
            counts,
            wanted,
            np.zeros(n),
            lambda at, before: shrunken_scores(
                n, counts.low, counts.high, judged, won, start=before, tolerance=_CONVERGED, advantage=at
            ),
        )
    p = win_probability(theta[counts.low] - theta[counts.high] + delta)
    shifts = tuple(
        ItemShift(name, round(float(theta_0), DECIMALS) + 0.0, round(float(theta_1), DECIMALS) + 0.0)
        for name, theta_0, theta_1 in zip(known.items, without, theta, strict=True)
    )
    return delta, _error(counts, parts, judged * p * (1 - p)), shifts


def _in_turns(
    counts: PairCounts,
    wanted: float,
    theta: FloatArray,
    scores_at: Callable[[float, FloatArray], FloatArray],
) -> tuple[FloatArray, float]:
    delta = 0.0
    last: list[float] = []
    for turn in range(_MOST_ALTERNATIONS):
        before = delta
        delta = _advantage(theta[counts.low] - theta[counts.high], counts.judged, wanted, delta)
        if abs(delta - before) < _CONVERGED and turn:
            break
        last = [*last, delta][-3:]
        if len(last) == 3:
            # Turns converge linearly; the end is foreseen (A. C. Aitken 1926, *Proceedings of the Royal Society of
            # Edinburgh* 46, 289-305).
            bend = last[2] - 2 * last[1] + last[0]
            ahead = (last[2] - last[1]) ** 2 / bend if abs(bend) > _CONVERGED else 0.0
            delta, last = delta - min(max(ahead, -_LONGEST_STEP), _LONGEST_STEP), []
        theta = scores_at(delta, theta)
    return theta, delta


def _scores(
    parts: Sequence[tuple[IndexArray, PairCounts]],
    delta: float,
    epsilon: float,
    before: FloatArray,
    usual: Sequence[float | None],
) -> tuple[FloatArray, list[float]]:
    """Scores with the advantage `delta`, and in each part the share of the usual ones in them."""
    theta, found = np.zeros(len(before)), []
    for (members, part), known in zip(parts, usual, strict=True):
        start = before[members] if before.any() else None
        solution = solve_with_advantage(part, delta, epsilon, start=start, usual=known)
        theta[members] = solution.theta
        found.append(solution.usual)
    return theta, found


def _advantage(difference: FloatArray, judged: FloatArray, wanted: float, start: float) -> float:
    delta = start
    for _ in range(_MOST_TURNS):
        p = win_probability(difference + delta)
        step = (wanted - float((judged * p).sum())) / max(float((judged * p * (1 - p)).sum()), 1e-300)
        delta += min(max(step, -_LONGEST_STEP), _LONGEST_STEP)
        if abs(step) < _CONVERGED / 10:
            break
    return delta


def _error(
    counts: PairCounts, parts: list[tuple[IndexArray, PairCounts]], weights: FloatArray
) -> float | None:
    """1 / sqrt(I - c' L+ c): the information of delta less what it shares with the scores."""
    shared = sums_by(counts.low, weights, counts.n_items) - sums_by(counts.high, weights, counts.n_items)
    left = float(weights.sum())
    label = connected_components(counts)
    for k, (members, part) in enumerate(parts):
        own = weights[label[counts.low] == k]
        laplacian = Laplacian(len(members), part.low, part.high, own)
        vector = shared[members] - shared[members].mean()
        left -= float(vector @ laplacian.solve(vector))
    return left**-0.5 if left > 1e-9 else None


def _significant_digits(number: float) -> float:
    return 0.0 if number < 1e-300 or math.isnan(number) else float(f"{number:.6g}")
