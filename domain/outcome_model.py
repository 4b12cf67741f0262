"""What one comparison is expected to give: the Bradley-Terry model, with undecided comparisons (Davidson).

With x = 1 for a win, 1/2 for an undecided comparison and 0 for a loss, and D = theta_i - theta_j, the model of
R. R. Davidson (1970, *Journal of the American Statistical Association* 65(329), 317-328) is

    P(x = 1) : P(x = 1/2) : P(x = 0)  =  exp(D / 2) : nu : exp(-D / 2).

nu = 0 leaves Bradley and Terry's. The model is an exponential family in theta with the statistic
S_i = wins + half of the undecided comparisons, so that the derivative of the mean of x by D is its variance,
and that of the variance its third central moment: the score equations keep their form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.comparison_graph import FloatArray

_MOST_STEPS = 200
_CONVERGED = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Per comparison: mean of x for both sides, its variance, and third central moment / variance."""

    expected: FloatArray
    expected_other: FloatArray
    variance: FloatArray
    skew: FloatArray


def win_probability(difference: FloatArray) -> FloatArray:
    """1 / (1 + exp(-difference)), without overflow and exact to the last bits at both ends."""
    small = np.exp(-np.abs(difference))
    return np.where(difference >= 0, 1.0, small) / (1.0 + small)


def moments(difference: FloatArray, tie_parameter: float) -> Moments:
    """The moments of x at score differences in logits; `tie_parameter` is nu."""
    if tie_parameter == 0:
        win, loss = win_probability(difference), win_probability(-difference)
        return Moments(win, loss, win * loss, 1 - 2 * win)
    win, tie, loss = outcome_probabilities(difference, tie_parameter)
    expected, other = win + tie / 2, loss + tie / 2
    middle = (loss - win) / 2  # 1/2 - expected
    variance = win * other**2 + tie * middle**2 + loss * expected**2
    third = win * other**3 + tie * middle**3 - loss * expected**3
    return Moments(expected, other, variance, third / variance)


def outcome_probabilities(
    difference: FloatArray, tie_parameter: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """P(win), P(undecided), P(loss) at score differences in logits."""
    half = np.exp(-np.abs(difference) / 2)
    better = 1 / (1 + tie_parameter * half + half**2)
    worse = better * half**2
    up = difference >= 0
    return np.where(up, better, worse), better * half * tie_parameter, np.where(up, worse, better)


def fit_tie_parameter(difference: FloatArray, judged: FloatArray, ties: float, epsilon: float) -> float:
    """nu at given scores: as many undecided comparisons expected as there were.

    The number is drawn in as wins are, eps + (D - 2 eps) / D * ties, so that a session of undecided
    comparisons only has a finite nu. Newton's method on log nu, in which the equation is monotone.
    """
    total = float(judged.sum())
    wanted = epsilon + (total - 2 * epsilon) / total * ties
    log_nu = 0.0
    for _ in range(_MOST_STEPS):
        tie = outcome_probabilities(difference, float(np.exp(log_nu)))[1]
        slope = float((judged * tie * (1 - tie)).sum())
        step = (wanted - float((judged * tie).sum())) / max(slope, 1e-300)
        log_nu += min(max(step, -1.0), 1.0)
        if abs(step) < _CONVERGED:
            break
    return float(np.exp(log_nu))
