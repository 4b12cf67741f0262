"""Solves the adjusted score equations of the Bradley-Terry model for one connected set of items.

Item i was compared M_i times and won S_i; p_ij = 1 / (1 + exp(theta_j - theta_i)). With the adjusted score
S*_i = eps + (M_i - 2 eps) / M_i * S_i, the expected wins E_i = sum p_ij and the information
I_i = sum p_ij (1 - p_ij) over i's comparisons, theta is the solution with mean 0 of

    F_i(theta) = S*_i - E_i - c I_i = 0,        c = (sum_i S*_i - D) / sum_i I_i.

This is where the algorithm of R's ``sirt::btm`` (Robitzsch), theta_i += (S*_i - E_i) / I_i and re-centring,
comes to rest. The surplus c I_i has to be there: the E_i always add up to the number of decisions D, the
S*_i do not unless all M_i are equal, so that S*_i = E_i has no solution.

How it is solved
----------------
By Newton's method, which needs 5 to 9 steps where the fixed point above needs hundreds (two groups of items
that hardly ever beat each other: its steps get small long before the end is near). As a function of theta
alone F sums to 0, and its Jacobian is, with v_ij = p_ij (1 - p_ij) and n_ij decisions on a pair,

    -F' = B - I (sum of the columns of B)' / sum(I),
    B_ii = sum_j n_ij v_ij (1 + c (1 - 2 p_ij)),      B_ij = -n_ij v_ij (1 + c (1 - 2 p_ij)).

A step is shortened until the next correction, taken with the same Jacobian, is smaller: the natural
monotonicity test (P. Deuflhard, *Newton Methods for Nonlinear Problems*, Springer 2004, section 3.3), which
does not care that one item has a thousand times the information of another.

When there is no solution
-------------------------
For some sparse tables F has no zero: of two groups joined by decisions that (nearly) all went one way, the
stronger can have S*_i adding up to as many wins as it can possibly expect, or more. (An example: four items,
three decisions, a beats b, c beats b, c beats d.) The gap between the groups then grows without end; the
fixed point drifts until it is stopped, and what it has reached tells of the stopping rule. We detect it (two
sets of items more than `WIDEST_GAP` apart in all their comparisons, or no acceptable step) and solve, for that
component, with an adjustment that takes from the winner what it gives the loser, per decision of i and j

    delta_ij = eps / 2 * (1 / M_i + 1 / M_j),        0 < delta_ij < 1/2.

It agrees with the one above where all M_i are equal, needs no surplus, and always has exactly one finite
solution on a connected graph: every pair counts as won in part by both sides (L. R. Ford 1957, *American
Mathematical Monthly* 64(8), 28-33). Callers are told which of the two was used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from domain.comparison_graph import FloatArray, PairCounts, connected_components

EPSILON = 0.3
WIDEST_GAP = 25.0
"""Logits. Across a wider gap the weaker wins once in 10^11 decisions: such a pair links nothing any more.

Much further out the sums cannot tell a drift from an end: the residual of a pair drowns in rounding.
"""
_CONVERGED = 1e-10
_LEAST_LEFT = 0.1
"""A step leaves every item this part of its information: out where it has none, no step leads back."""
_MOST_STEPS = 100
_SHORTEST_FRACTION = 1e-6
_DENSE_UP_TO = 600
"""Items. Below it a dense solve takes at most 20 ms, and scipy (half a second to import) is not needed."""


class NoFiniteSolutionError(ArithmeticError):
    """The equations have no finite solution for this table of comparisons."""


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Scores of one connected set of items, mean 0, and what they rest on.

    `information` is I_i; `surplus` is c; `balanced` says that the second adjustment had to be used.
    """

    theta: FloatArray
    information: FloatArray
    surplus: float
    balanced: bool


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    theta: FloatArray
    probability: FloatArray
    pair_information: FloatArray
    information: FloatArray
    surplus: float
    residual: FloatArray


def win_probability(difference: FloatArray) -> FloatArray:
    """1 / (1 + exp(-difference)), without overflow and exact to the last bits at both ends."""
    small = np.exp(-np.abs(difference))
    return np.where(difference >= 0, 1.0, small) / (1.0 + small)


def adjusted_scores(counts: PairCounts, epsilon: float = EPSILON) -> FloatArray:
    """S*_i = eps + (M_i - 2 eps) / M_i * S_i."""
    compared = counts.comparisons_per_item()
    return epsilon + (compared - 2 * epsilon) / compared * counts.wins_per_item()


def balanced_scores(counts: PairCounts, epsilon: float = EPSILON) -> FloatArray:
    """Adjusted scores that add up to the number of decisions (see the module's text)."""
    compared = counts.comparisons_per_item()
    share = epsilon / 2 * (1 / compared[counts.low] + 1 / compared[counts.high])
    moved = share * (counts.high_wins - counts.low_wins)
    return counts.wins_per_item() + counts.per_item(moved, -moved)


def solve(counts: PairCounts) -> Solution:
    """Scores for a connected table of comparisons."""
    try:
        found, balanced = _newton(counts, adjusted_scores(counts)), False
    except NoFiniteSolutionError:
        found, balanced = _newton(counts, balanced_scores(counts)), True
    return Solution(found.theta, found.information, found.surplus, balanced)


def _newton(counts: PairCounts, scores: FloatArray) -> _State:
    # Where sirt starts, too: what the share of wins says of an item among equals, drawn in a little.
    start = 0.8 * np.log(scores / (counts.comparisons_per_item() - scores))
    state = _evaluate(counts, scores, start)
    for _ in range(_MOST_STEPS):
        correction = _linearised(counts, state)
        step = correction(state.residual)
        size = float(np.linalg.norm(step))
        if not np.isfinite(size):
            raise NoFiniteSolutionError("the Jacobian is singular")
        if np.abs(step).max() < _CONVERGED * (1 + np.abs(state.theta).max()):
            return _evaluate(counts, scores, state.theta + step)
        fraction = 1.0
        while True:
            following = _evaluate(counts, scores, state.theta + fraction * step)
            if np.all(following.information >= _LEAST_LEFT * state.information) and (
                _is_progress(state, following)
                or np.linalg.norm(correction(following.residual)) <= (1 - fraction / 4) * size
            ):
                break
            fraction /= 2
            if fraction < _SHORTEST_FRACTION:
                raise NoFiniteSolutionError("no step towards a solution")
        state = following
        if _falls_apart(counts, state.theta):
            raise NoFiniteSolutionError("two groups of items drift apart")
    raise NoFiniteSolutionError(f"not converged in {_MOST_STEPS} steps")


def _is_progress(before: _State, after: _State) -> bool:
    """Whether the residuals, in units of theta, fell so clearly that the monotonicity test can be saved.

    That test solves a second system; without it a step costs half.
    """
    left = np.abs(after.residual / after.information).max()
    return bool(left <= 0.5 * np.abs(before.residual / before.information).max())


def _evaluate(counts: PairCounts, scores: FloatArray, theta: FloatArray) -> _State:
    theta = theta - theta.mean()
    difference = theta[counts.low] - theta[counts.high]
    probability = win_probability(difference)
    judged = counts.judged
    pair_information = judged * probability * win_probability(-difference)
    itself = counts.self_comparisons
    expected = counts.per_item(judged * probability, judged * win_probability(-difference)) + itself
    information = counts.per_item(pair_information, pair_information) + itself / 2
    surplus = float((scores - expected).sum() / information.sum())
    residual = scores - expected - surplus * information
    return _State(theta, probability, pair_information, information, surplus, residual)


def _falls_apart(counts: PairCounts, theta: FloatArray) -> bool:
    """Whether a gap has opened that every comparison between two sets of items has to span.

    A wide gap of one pair says nothing: its items may be held by many others in between.
    """
    near = np.abs(theta[counts.low] - theta[counts.high]) <= WIDEST_GAP
    if near.all():
        return False
    links = PairCounts(
        n_items=counts.n_items,
        low=counts.low[near],
        high=counts.high[near],
        low_wins=counts.low_wins[near],
        high_wins=counts.high_wins[near],
        self_comparisons=counts.self_comparisons,
    )
    return bool(connected_components(links).max() > 0)


def _linearised(counts: PairCounts, state: _State) -> Callable[[FloatArray], FloatArray]:
    """The map from a residual to the correction of theta (mean 0) which the Jacobian at `state` asks for.

    With c as an unknown of its own the system is bordered and regular:
    [[B, I], [1', 0]] [step, change of c] = [residual, 0].
    """
    tilt = state.surplus * state.pair_information * (1 - 2 * state.probability)
    low_side, high_side = state.pair_information + tilt, state.pair_information - tilt
    if counts.n_items > _DENSE_UP_TO:
        # Imported here because it is large and most jobs are not.
        from domain.sparse_correction import sparse_correction

        return sparse_correction(counts, low_side, high_side, state.information)
    n = counts.n_items
    bordered = np.zeros((n + 1, n + 1))
    bordered[counts.low, counts.high] = -low_side
    bordered[counts.high, counts.low] = -high_side
    np.fill_diagonal(bordered, np.append(counts.per_item(low_side, high_side), 0.0))
    bordered[:n, n] = state.information
    bordered[n, :n] = 1.0

    def correction(residual: FloatArray) -> FloatArray:
        try:
            return np.linalg.solve(bordered, np.append(residual, 0.0))[:n]
        except np.linalg.LinAlgError:
            return np.full(n, np.nan)

    return correction
