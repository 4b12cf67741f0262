"""Scores that maximise a concave log-likelihood of shared wins: they always exist, and are found for certain.

Each pair gives its low side a share of its n comparisons, its high side the rest. With D = theta_low - theta_high
(plus the advantage of the low side) and A(D) = log(exp(D / 2) + nu + exp(-D / 2)), the model of `domain.outcome_model`
has the log-likelihood

    - sum over pairs of  low_share (A(D) - D / 2) + (n - low_share) (A(D) + D / 2),

concave in theta. Its maximum is finite and unique on a connected graph where both sides have a share of every pair
(L. R. Ford 1957, *American Mathematical Monthly* 64(8), 28-33).

With `reference` = r every text is also compared with one imaginary text at 0, which it beats r times and to which
it loses r times. That is a generalised logistic prior for each theta, also known as log-F(2r, 2r) (J. T. Whelan 2017,
arXiv:1712.05311, for Bradley and Terry's model; S. Greenland and M. A. Mansournia 2015, *Statistics in Medicine*
34(23), 3133-3143). As the prior depends on no decision, one more win of i against j can only widen theta_i - theta_j:
let f be the log-posterior before, g the gain log p(theta_i - theta_j), which rises. At the two maxima t and u,
f(t) >= f(u) and f(u) + g(u) >= f(t) + g(t), thus g(u) >= g(t).

The maximum is found by Newton's method; a step is halved until the value does not fall.
"""

from __future__ import annotations

import numpy as np

from domain.comparison_graph import FloatArray, PairCounts
from domain.laplacian import Laplacian
from domain.outcome_model import moments, win_probability

_CONVERGED = 1e-10
_NEAR = 1e-5
"""Of the size of theta: a step of Newton's method without a search for its length."""
_LONGEST_STEP = 4.0
"""Logits, between the texts of a pair, so that a step does not leave the region in which it was computed."""
_SHORTEST_FRACTION = 1e-9
_MOST_STEPS = 1000


def concave_scores(
    counts: PairCounts,
    low_share: FloatArray,
    *,
    start: FloatArray,
    tie_parameter: float = 0.0,
    low_advantage: float = 0.0,
    reference: float = 0.0,
) -> FloatArray:
    """Theta with mean 0 of a connected table, from the comparisons per pair that count for the low side."""
    at = _Likelihood(counts, low_share, tie_parameter, low_advantage, reference)
    theta = start - start.mean()
    value = at.value(theta)
    for _ in range(_MOST_STEPS):
        step = at.step(theta)
        longest = float(np.abs(step).max())
        if longest < _NEAR * (1 + float(np.abs(theta).max())):
            # So near the value no longer tells one from the other, and the steps square the distance.
            theta = theta + step
            if longest < _CONVERGED * (1 + float(np.abs(theta).max())):
                break
            continue
        apart = float(np.abs(step[counts.low] - step[counts.high]).max())
        fraction = min(1.0, _LONGEST_STEP / max(apart, 1e-300))
        while (reached := at.value(theta + fraction * step)) <= value and fraction > _SHORTEST_FRACTION:
            fraction /= 2
        if reached <= value:
            break  # as high as the sums can tell
        theta, value = theta + fraction * step, reached
    centred: FloatArray = theta - theta.mean()
    return centred


class _Likelihood:
    """The function above, with its Newton step."""

    def __init__(
        self,
        counts: PairCounts,
        low_share: FloatArray,
        tie_parameter: float,
        low_advantage: float,
        reference: float,
    ) -> None:
        self._counts, self._judged = counts, counts.judged
        self._low, self._high = low_share, self._judged - low_share
        self._nu, self._advantage, self._reference = tie_parameter, low_advantage, reference

    def value(self, theta: FloatArray) -> float:
        difference = self._difference(theta)
        lost_by_low, lost_by_high = self._surprise(difference), self._surprise(-difference)
        total = float((self._low * lost_by_low + self._high * lost_by_high).sum())
        if self._reference:
            total += self._reference * float((np.logaddexp(0.0, theta) + np.logaddexp(0.0, -theta)).sum())
        return -total

    def step(self, theta: FloatArray) -> FloatArray:
        counts = self._counts
        at = moments(self._difference(theta), self._nu)
        # Without cancellation where one side is expected to win nearly all.
        surplus = self._low * at.expected_other - self._high * at.expected
        gradient = counts.per_item(surplus, -surplus)
        weights = self._judged * at.variance
        n = counts.n_items
        if not self._reference:
            return Laplacian(n, counts.low, counts.high, weights).solve(gradient - gradient.mean())
        # The imaginary text is one more node of the graph, and its score the zero of the scale.
        win, loss = win_probability(theta), win_probability(-theta)
        gradient = gradient + self._reference * (loss - win)
        texts = np.arange(n)
        graph = Laplacian(
            n + 1,
            np.concatenate([counts.low, texts]),
            np.concatenate([counts.high, np.full(n, n)]),
            np.concatenate([weights, 2 * self._reference * win * loss]),
        )
        found = graph.solve(np.append(gradient, -gradient.sum()))
        moved: FloatArray = found[:-1] - found[-1]
        return moved

    def _difference(self, theta: FloatArray) -> FloatArray:
        return theta[self._counts.low] - theta[self._counts.high] + self._advantage

    def _surprise(self, difference: FloatArray) -> FloatArray:
        """A(D) - D / 2, the loss where the side that D favours wins."""
        if not self._nu:
            return np.logaddexp(0.0, -difference)
        undecided: FloatArray = np.log(self._nu) - difference / 2
        surprise: FloatArray = np.logaddexp(np.logaddexp(0.0, -difference), undecided)
        return surprise
