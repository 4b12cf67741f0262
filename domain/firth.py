"""Penalised scores after Firth: the likelihood times Jeffreys' prior, the root of the information's determinant.

The score equations become, with h the leverage of a pair, n p (1 - p) times the variance of its difference,

    sum over pairs of i: wins - n p + h (1/2 - p) = 0

(D. Firth 1993, *Biometrika* 80(1), 27-38; G. Heinze and M. Schemper 2002, *Statistics in Medicine* 21(16),
2409-2419, for separated data). Estimates are finite for every connected table, also where all decisions
between two sets went one way, and have less bias than those of maximum likelihood. They stand beside the usual
scores: where the two are far apart, the usual ones rest on their adjustment more than on decisions. Undecided
comparisons count half a win on each side.

Beyond 300 items leverages are approximated by n p (1 - p) (1 / I_i + 1 / I_j), at most 1, which is
exact in the limit of a well-connected graph.
"""

from __future__ import annotations

import numpy as np

from domain.bradley_terry import Estimate
from domain.comparison_graph import FloatArray, PairCounts, sums_by
from domain.laplacian import Laplacian
from domain.outcome_model import win_probability

_EXACT_UP_TO = 300
_MOST_STEPS = 60
_CONVERGED = 1e-8
_LONGEST_STEP = 2.0


def firth_scores(estimate: Estimate) -> FloatArray:
    """Penalised theta of every item, mean 0 in each component."""
    found = np.zeros(estimate.counts.n_items)
    for members, part in estimate.counts.split(estimate.component):
        if len(members) > 1:
            found[members] = _firth(part)
    return found


def _firth(part: PairCounts) -> FloatArray:
    n, low, high, judged = part.n_items, part.low, part.high, part.judged
    wins = part.low_wins + part.pair_ties / 2
    theta = np.zeros(n)
    for _ in range(_MOST_STEPS):
        p = win_probability(theta[low] - theta[high])
        weights = judged * p * (1 - p)
        laplacian = Laplacian(n, low, high, weights)
        if n <= _EXACT_UP_TO:
            inverse = laplacian.inverse()
            diagonal = np.diag(inverse)
            variance = diagonal[low] + diagonal[high] - 2 * inverse[low, high]
        else:
            variance = 1 / laplacian.diagonal[low] + 1 / laplacian.diagonal[high]
        leverage = np.clip(weights * variance, 0.0, 1.0)
        surplus = wins - judged * p + leverage * (0.5 - p)
        # The slope of the surplus is that of the likelihood and of the penalty. Without the penalty's share the step
        # over a bridge (leverage 1, one decision) is twice too long, and the search swings about its end for ever.
        slopes = Laplacian(n, low, high, (judged + leverage) * p * (1 - p))
        step = slopes.solve(sums_by(low, surplus, n) - sums_by(high, surplus, n))
        longest = float(np.abs(step).max())
        theta = theta + step * min(1.0, _LONGEST_STEP / max(longest, 1e-12))
        if longest < _CONVERGED:
            break
    centred: FloatArray = theta - theta.mean()
    return centred
