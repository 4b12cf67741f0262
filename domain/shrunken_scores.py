"""Scores drawn in towards 0, for predictions: what is known of little-judged texts is said with reserve.

Maximised is the likelihood of Bradley and Terry times a normal prior with standard deviation `PRIOR_SD` for each
theta (the mode of the posterior; D. Leonard 1977, *Biometrics* 33(1), 121-132, for paired comparisons). The
maximum exists and is unique for any table, connected or not: texts without a decision stay at 0, groups without
a link each around 0. It is found by Newton's method; the objective is concave.

These scores serve predictions (`domain.forward_test`, `domain.judge_limits`), and an order effect that leaves
the decisions nothing to say of the texts (`domain.position_effect`). They are never reported as the scores, unless
a reader asks what another prior would give (`domain.what_if`).
"""

from __future__ import annotations

import numpy as np

from domain.comparison_graph import FloatArray, IndexArray, sums_by
from domain.laplacian import Laplacian
from domain.outcome_model import win_probability

PRIOR_SD = 2.0
"""Logits. Sessions of texts usually spread with a standard deviation of 1 to 3."""
_MOST_STEPS = 30


def shrunken_scores(
    n: int,
    low: IndexArray,
    high: IndexArray,
    judged: FloatArray,
    low_wins: FloatArray,
    *,
    start: FloatArray,
    tolerance: float = 0.02,
    advantage: float = 0.0,
    prior_sd: float = PRIOR_SD,
) -> FloatArray:
    """Theta of `n` items from counts per pair; a step below `tolerance` logits is the last.

    The low side of each pair has an `advantage` in logits; `prior_sd` is the spread of the prior.
    """
    theta, precision = start, prior_sd**-2
    for _ in range(_MOST_STEPS):
        expected = win_probability(theta[low] - theta[high] + advantage)
        surplus = low_wins - judged * expected
        gradient = sums_by(low, surplus, n) - sums_by(high, surplus, n) - precision * theta
        curvature = Laplacian(n, low, high, judged * expected * (1 - expected), precision)
        step = curvature.solve(gradient)
        longest = float(np.abs(step).max())
        theta = theta + step * min(1.0, 2.0 / max(longest, 1e-12))
        if longest < tolerance:
            break
    return theta
