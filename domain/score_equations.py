"""Solves the adjusted score equations of the Bradley-Terry model for one connected set of items.

Item i was compared M_i times and won S_i; p_ij = 1 / (1 + exp(theta_j - theta_i)). With the adjusted score
S*_i = eps + (M_i - 2 eps) / M_i * S_i, the expected wins E_i = sum p_ij and the information
I_i = sum p_ij (1 - p_ij) over i's comparisons, theta is the solution with mean 0 of

    F_i(theta) = S*_i - E_i - c I_i = 0,        c = (sum_i S*_i - D) / sum_i I_i.

This is where the algorithm of R's ``sirt::btm`` (Robitzsch), theta_i += (S*_i - E_i) / I_i and re-centring,
comes to rest. The surplus c I_i has to be there: the E_i always add up to the number of decisions D, the
S*_i do not unless all M_i are equal, so that S*_i = E_i has no solution. Undecided comparisons count half a
win on each side, and E, I and what follows are those of Davidson's model (`domain.outcome_model`).

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

When there is no solution, or one far out
-----------------------------------------
For some sparse tables F has no zero: of two groups joined by decisions that (nearly) all went one way, the
stronger can have S*_i adding up to as many wins as it can possibly expect, or more. (An example: four items,
three decisions, a beats b, c beats b, c beats d.) The gap between the groups then grows without end; the
fixed point drifts until it is stopped, and what it has reached tells of the stopping rule. One decision
fewer, and there may be a solution, at a gap of 10 or 20 logits that means nothing either.

Nor do the equations move with the evidence: as eps is shared out by M_i, a further win of a text with few
comparisons takes from what it gives to the others, and a gap can shrink by several logits when its upper side wins
once more. Of texts between which upsets happen that is a matter of hundredths; not where all decisions between
two sets went one way, and the gap rests on the adjustment alone.

Therefore the *reference* scores stand beside the usual ones (`domain.concave_scores`): each text counts as compared
with one imaginary text as well, `eps` times won and `eps` times lost. One more win of a text against another can only
widen their gap, and a text that won everything loses eps, as by the usual adjustment. The reported scores are

    w * usual + (1 - w) * reference,

with w = 1 where wins lead from every text to every other, and of two texts. Else

- w rises with the share of the texts in the largest set within which wins lead from every text to every other
  (`SHARE`), or with the mean number of comparisons of a text (`PER_TEXT`), whichever is more. One more win for the
  same side changes neither set nor share, so that what is reported does not pass from one estimate to the other
  with it. Sessions as they are usually made have w = 1: some texts won or lost everything, most are in one set;
- w falls where the usual solution runs away: let d be the largest difference between it and the *balanced* one in
  the gap of a judged pair, infinite without a usual solution. w is kept up to d = `APART[0]` and 0 from `APART[1]`.
  The balanced adjustment takes from the winner of a decision of i and j what it gives the loser,
  eps / 2 * (1 / M_i + 1 / M_j), needs no surplus, and always has a solution. Sessions as they are usually made stay
  below (0.4 to 1.3 with ten decisions per text drawn at random).

Callers are told when w is below 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from domain.comparison_graph import (
    FloatArray,
    PairCounts,
    connected_components,
    strong_parts,
    sums_by,
    win_arrows,
)
from domain.concave_scores import concave_scores
from domain.outcome_model import fit_tie_parameter, moments

if TYPE_CHECKING:
    from domain.sparse_correction import SparseCorrections

EPSILON = 0.3
WIDEST_GAP = 25.0
"""Logits. Across a wider gap the weaker wins once in 10^11 decisions: such a pair links nothing any more.

Much further out the sums cannot tell a drift from an end: the residual of a pair drowns in rounding.
"""
_CONVERGED = 1e-10
_LEAST_LEFT = 0.1
"""A step leaves every item this part of its information: out where it has none, no step leads back."""
_MOST_STEPS = 100
APART = (1.5, 2.5)
"""Logits between the usual and the balanced solution; see above."""
SHARE = (0.5, 0.75)
PER_TEXT = (10.0, 14.0)
"""Up to the first the reference scores count alone, from the second the usual ones."""
_SHORTEST_FRACTION = 1e-6
_DENSE_UP_TO = 600
"""Items. Below it a dense solve takes at most 20 ms, and scipy (half a second to import) is not needed."""


class NoFiniteSolutionError(ArithmeticError):
    """The equations have no finite solution for this table of comparisons."""


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Scores of one connected set of items, mean 0, and what they rest on.

    `information` is I_i; `surplus` is c; `usual` is w, the share of the usual scores in them; `tie_parameter` is
    Davidson's nu, 0 without undecided comparisons.
    """

    theta: FloatArray
    information: FloatArray
    surplus: float
    usual: float
    tie_parameter: float


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    theta: FloatArray
    pair_information: FloatArray
    skew: FloatArray
    information: FloatArray
    surplus: float
    residual: FloatArray


@dataclass(frozen=True, slots=True)
class _Model:
    """What the equations depend on besides the scores: nu, and the advantage of the low side in logits."""

    tie_parameter: float = 0.0
    low_advantage: float = 0.0


def adjusted_scores(counts: PairCounts, epsilon: float = EPSILON) -> FloatArray:
    """S*_i = eps + (M_i - 2 eps) / M_i * S_i."""
    compared = counts.comparisons_per_item()
    return epsilon + (compared - 2 * epsilon) / compared * counts.wins_per_item()


def balanced_scores(counts: PairCounts, epsilon: float = EPSILON) -> FloatArray:
    """Adjusted scores that add up to the number of decisions (see the module's text)."""
    low_share = _balanced_share(counts, epsilon)
    return counts.per_item(low_share, counts.judged - low_share) + counts.self_comparisons


def _balanced_share(counts: PairCounts, epsilon: float) -> FloatArray:
    """What of each pair counts for its low side."""
    compared = counts.comparisons_per_item()
    moved = epsilon / 2 * (1 / compared[counts.low] + 1 / compared[counts.high])
    return _low_share(counts) + moved * (counts.high_wins - counts.low_wins)


def _low_share(counts: PairCounts) -> FloatArray:
    return counts.low_wins + counts.pair_ties / 2


def solve(counts: PairCounts, epsilon: float = EPSILON) -> Solution:
    """Scores for a connected table of comparisons; `epsilon` between 0 and 1/2, both excluded."""
    if counts.ties is None or not (ties := float(counts.ties.sum())):
        return _solve(counts, epsilon, _Model())
    nu = 1.0
    for _ in range(_MOST_STEPS):
        found = _solve(counts, epsilon, _Model(nu))
        before = nu
        nu = fit_tie_parameter(
            found.theta[counts.low] - found.theta[counts.high], counts.judged, ties, epsilon
        )
        if abs(nu - before) <= _CONVERGED * (1 + nu):
            break
    return found


def solve_with_advantage(
    counts: PairCounts,
    advantage: float,
    epsilon: float = EPSILON,
    *,
    start: FloatArray | None = None,
    usual: float | None = None,
) -> Solution:
    """Scores when the low side of each pair has an `advantage` in logits (`domain.position_effect`).

    A pair may occur twice, once in each direction. `start` is where the search begins; `usual` is the share of the
    usual scores, where that is known. Raises NoFiniteSolutionError if they are to have one, and do not exist.
    """
    model = _Model(low_advantage=advantage)
    if usual is None:
        return _solve(counts, epsilon, model, start)
    found = _newton(counts, adjusted_scores(counts, epsilon), model, start) if usual else None
    return _mixed(counts, epsilon, model, found, usual)


def _solve(counts: PairCounts, epsilon: float, model: _Model, start: FloatArray | None = None) -> Solution:
    try:
        found = _newton(counts, adjusted_scores(counts, epsilon), model, start)
    except NoFiniteSolutionError:
        return _mixed(counts, epsilon, model, None, 0.0)
    if counts.n_items <= 2 or _wins_lead_everywhere(counts):
        return _mixed(counts, epsilon, model, found, 1.0)
    usual = _usual_by_graph(counts)
    if usual:
        inner = concave_scores(
            counts,
            _balanced_share(counts, epsilon),
            start=found.theta,
            tie_parameter=model.tie_parameter,
            low_advantage=model.low_advantage,
        )
        moved = found.theta - inner
        apart = float(np.abs(moved[counts.low] - moved[counts.high]).max(initial=0.0))
        usual *= 1 - _ramp(apart, APART)
    return _mixed(counts, epsilon, model, found, usual)


def _mixed(counts: PairCounts, epsilon: float, model: _Model, found: _State | None, usual: float) -> Solution:
    if found is None or usual < 1:
        drawn = concave_scores(
            counts,
            _low_share(counts),
            start=np.zeros(counts.n_items),
            tie_parameter=model.tie_parameter,
            low_advantage=model.low_advantage,
            reference=epsilon,
        )
        theta = drawn if found is None else usual * found.theta + (1 - usual) * drawn
        found = _evaluate(counts, adjusted_scores(counts, epsilon), theta, model)
    return Solution(found.theta, found.information, found.surplus, usual, model.tie_parameter)


def _usual_by_graph(counts: PairCounts) -> float:
    """w as far as the graph of wins has a say."""
    share = float(np.bincount(strong_parts(counts)).max()) / counts.n_items
    per_text = float(counts.comparisons_per_item().mean())
    return max(_ramp(share, SHARE), _ramp(per_text, PER_TEXT))


def _ramp(at: float, ends: tuple[float, float]) -> float:
    return float(min(max((at - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0))


def _wins_lead_everywhere(counts: PairCounts) -> bool:
    """Whether wins lead from every item to every other: no set of items won all against the rest."""
    source, target = win_arrows(counts)
    for one, other in ((source, target), (target, source)):
        reached = np.zeros(counts.n_items, dtype=np.bool_)
        reached[0], before = True, 0
        while (now := int(reached.sum())) > before:
            before = now
            reached[other[reached[one]]] = True
        if now < counts.n_items:
            return False
    return True


def _newton(
    counts: PairCounts, scores: FloatArray, model: _Model | None = None, start: FloatArray | None = None
) -> _State:
    model = model or _Model()
    if start is None:
        # Where sirt starts, too: what the share of wins says of an item among equals, drawn in a little.
        start = 0.8 * np.log(scores / (counts.comparisons_per_item() - scores))
    state = _evaluate(counts, scores, start, model)
    corrections = None
    if counts.n_items > _DENSE_UP_TO:
        # Imported here because scipy is large and most jobs are not.
        from domain.sparse_correction import SparseCorrections

        corrections = SparseCorrections(counts)
    for _ in range(_MOST_STEPS):
        correction = _linearised(counts, state, corrections)
        step = correction(state.residual)
        size = float(np.linalg.norm(step))
        if not np.isfinite(size):
            raise NoFiniteSolutionError("the Jacobian is singular")
        if np.abs(step).max() < _CONVERGED * (1 + np.abs(state.theta).max()):
            return _evaluate(counts, scores, state.theta + step, model)
        fraction = 1.0
        while True:
            following = _evaluate(counts, scores, state.theta + fraction * step, model)
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


def _evaluate(counts: PairCounts, scores: FloatArray, theta: FloatArray, model: _Model) -> _State:
    theta = theta - theta.mean()
    at = moments(theta[counts.low] - theta[counts.high] + model.low_advantage, model.tie_parameter)
    judged = counts.judged
    pair_information = judged * at.variance
    itself = counts.self_comparisons
    expected = counts.per_item(judged * at.expected, judged * at.expected_other) + itself
    information = counts.per_item(pair_information, pair_information) + itself / 2
    with np.errstate(all="ignore"):  # a step into the void, where all information is 0, is refused later
        surplus = float((scores - expected).sum() / information.sum())
        residual = scores - expected - surplus * information
    return _State(theta, pair_information, at.skew, information, surplus, residual)


def _falls_apart(counts: PairCounts, theta: FloatArray) -> bool:
    """Whether a gap has opened that every comparison between two sets of items has to span.

    A wide gap of one pair says nothing: its items may be held by many others in between.
    """
    near = np.abs(theta[counts.low] - theta[counts.high]) <= WIDEST_GAP
    if near.all():
        return False
    return bool(connected_components(counts.only_pairs(near)).max() > 0)


def _linearised(
    counts: PairCounts, state: _State, corrections: SparseCorrections | None
) -> Callable[[FloatArray], FloatArray]:
    """The map from a residual to the correction of theta (mean 0) which the Jacobian at `state` asks for.

    With c as an unknown of its own the system is bordered and regular:
    [[B, I], [1', 0]] [step, change of c] = [residual, 0].
    """
    tilt = state.surplus * state.pair_information * state.skew
    low_side, high_side = state.pair_information + tilt, state.pair_information - tilt
    if corrections is not None:
        return corrections.at(low_side, high_side, state.information)
    n = counts.n_items
    # Added up, not assigned: a pair occurs twice where the two directions are distinguished.
    cells = np.concatenate([counts.low * (n + 1) + counts.high, counts.high * (n + 1) + counts.low])
    entries = sums_by(cells, -np.concatenate([low_side, high_side]), (n + 1) ** 2)
    bordered = entries.reshape(n + 1, n + 1)
    np.fill_diagonal(bordered, np.append(counts.per_item(low_side, high_side), 0.0))
    bordered[:n, n] = state.information
    bordered[n, :n] = 1.0

    def correction(residual: FloatArray) -> FloatArray:
        try:
            return np.linalg.solve(bordered, np.append(residual, 0.0))[:n]
        except np.linalg.LinAlgError:
            return np.full(n, np.nan)

    return correction
