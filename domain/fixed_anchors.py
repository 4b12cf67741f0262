"""Scores on the scale of anchors whose values are fixed: anchors from an earlier session keep what they have.

The scores of all other texts maximise the likelihood of the session with the anchors' values given (anchored
calibration: B. D. Wright and M. H. Stone 1979, *Best Test Design*, chapter 5). The wins are those of the balanced
adjustment of `domain.score_equations`, for which exactly one finite solution exists wherever decisions connect each
text with an anchor. It is found by Newton's method on a concave function; the Hessian is the Laplacian of the
comparisons with all anchors drawn together to one node, so that a score's variance is that of its difference to the
anchors. Errors hold the values of the anchors for exact.

An anchor's *displacement* is how far the decisions would move it, the others held where they are: one step
(S - E) / I, with the error 1 / sqrt(I) (J. M. Linacre, *A User's Guide to Winsteps*, "Displacement measures"). Beyond
the errors that the furthest of so many anchors would have by chance (`domain.proportions`) it is flagged: it may be
another text than it was, or judged by other standards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from domain.bradley_terry import DECIMALS, Estimate
from domain.comparison_graph import FloatArray, TruthArray
from domain.laplacian import Laplacian
from domain.proportions import bonferroni_limit
from domain.score_equations import balanced_scores
from domain.uncertainty import ComponentCovariance

_LONGEST_STEP = 4.0
_CONVERGED = 1e-9
_SHORTEST_FRACTION = 1e-9
_NEAR = 1e-5
"""Logits. So near the top a likelihood in floating point no longer tells higher from lower; Newton's step is right."""
_MOST_STEPS = 200


class AnchorValuesError(ValueError):
    """The values cannot be held fixed; the text says why."""


@dataclass(frozen=True, slots=True)
class AnchoredScore:
    """One text, in logits on the scale of the anchors. `se` is None for an anchor, `displacement` for all others."""

    item: str
    theta: float
    se: float | None
    is_fixed: bool
    displacement: float | None
    displacement_se: float | None
    flagged: bool


@dataclass(frozen=True, slots=True)
class AnchoredScores:
    """All texts, highest first. An anchor is flagged when it is displaced by more than `limit` of its errors."""

    limit: float
    texts: tuple[AnchoredScore, ...]


def anchored_scores(names: Sequence[str], estimate: Estimate, fixed: Mapping[str, float]) -> AnchoredScores:
    """Score all texts with the values of `fixed` (logits) given.

    `estimate` is that of the same decisions without fixed values. Raises AnchorValuesError.
    """
    place = {name: k for k, name in enumerate(names)}
    if not fixed:
        raise AnchorValuesError("there is no anchor with a value")
    if unknown := [name for name in fixed if name not in place]:
        raise AnchorValuesError(f"the anchor {unknown[0]!r} is not among the texts")
    anchors = [place[name] for name in fixed]
    is_fixed = np.zeros(len(names), dtype=np.bool_)
    is_fixed[anchors] = True
    reached = {int(estimate.component[k]) for k in anchors}
    if adrift := [name for name, k in place.items() if int(estimate.component[k]) not in reached]:
        raise AnchorValuesError(f"no decision connects the text {adrift[0]!r} with an anchor")
    values = np.array(list(fixed.values()))
    theta = estimate.theta.copy()
    for component in reached:  # each begins where its anchors are
        own = estimate.component[anchors] == component
        shift = values[own].mean() - estimate.theta[anchors][own].mean()
        theta[estimate.component == component] += shift
    theta[anchors] = values
    at = _solved(replace(estimate, theta=theta), is_fixed)
    gap = balanced_scores(at.counts, at.epsilon) - at.counts.self_comparisons - _expected(at)
    information = _information(at)
    errors = np.zeros(len(names))
    if not is_fixed.all():
        errors[~is_fixed] = _FreeTexts(at, is_fixed).errors()
    limit = bonferroni_limit(len(anchors))
    found = []
    for name, k in place.items():
        moved = float(gap[k] / information[k]) if is_fixed[k] and information[k] > 0 else None
        error = None if moved is None else float(information[k] ** -0.5)
        found.append(
            AnchoredScore(
                item=name,
                theta=round(float(at.theta[k]), DECIMALS) + 0.0,
                se=None if is_fixed[k] else round(float(errors[k]), DECIMALS),
                is_fixed=bool(is_fixed[k]),
                displacement=None if moved is None else round(moved, DECIMALS) + 0.0,
                displacement_se=None if error is None else round(error, DECIMALS),
                flagged=moved is not None and error is not None and abs(moved) > limit * error,
            )
        )
    return AnchoredScores(limit, tuple(sorted(found, key=lambda score: (-score.theta, score.item))))


def _solved(at: Estimate, fixed: TruthArray) -> Estimate:
    """`at` with the scores of all texts that are not fixed where the likelihood is highest."""
    free = np.flatnonzero(~fixed)
    if not len(free):
        return at
    wins = balanced_scores(at.counts, at.epsilon) - at.counts.self_comparisons
    value = _log_likelihood(at, wins)
    for _ in range(_MOST_STEPS):
        step = np.zeros(len(at.theta))
        step[free] = _FreeTexts(at, fixed).step((wins - _expected(at))[free])
        longest = float(np.abs(step).max())
        if longest < _CONVERGED * (1 + float(np.abs(at.theta).max())):
            return replace(at, theta=at.theta + step)
        fraction = min(1.0, _LONGEST_STEP / longest)
        while True:
            following = replace(at, theta=at.theta + fraction * step)
            reached = _log_likelihood(following, wins)
            if reached >= value or longest < _NEAR or fraction < _SHORTEST_FRACTION:
                break
            fraction /= 2
        if reached <= value and fraction < _SHORTEST_FRACTION:
            return at  # as high as numbers can tell
        at, value = following, reached
    raise AnchorValuesError("the scores do not settle; check that the anchors' values are in logits")


class _FreeTexts:
    """The comparisons of the texts that are not fixed, with one node for all that are."""

    def __init__(self, at: Estimate, fixed: TruthArray) -> None:
        n_free = int((~fixed).sum())
        node = np.full(len(fixed), n_free)
        node[~fixed] = np.arange(n_free)
        low, high = node[at.counts.low], node[at.counts.high]
        kept = low != high
        weights = at.counts.judged * at.moments(at.counts.low, at.counts.high).variance
        self._laplacian = Laplacian(n_free + 1, low[kept], high[kept], weights[kept])

    def step(self, residual: FloatArray) -> FloatArray:
        """What each score has to gain, to first order."""
        found = self._laplacian.solve(np.append(residual, -residual.sum()))
        gained: FloatArray = found[:-1] - found[-1]
        return gained

    def errors(self) -> FloatArray:
        """Of the differences between these texts and the fixed ones."""
        nodes = np.arange(self._laplacian.n)
        covariance = ComponentCovariance(nodes, self._laplacian, self._laplacian.draws())
        anchors = np.full(len(nodes) - 1, nodes[-1])
        errors: FloatArray = np.sqrt(covariance.variances_of_differences(nodes[:-1], anchors))
        return errors


def _expected(at: Estimate) -> FloatArray:
    counts = at.counts
    expected = at.moments(counts.low, counts.high)
    return counts.per_item(counts.judged * expected.expected, counts.judged * expected.expected_other)


def _information(at: Estimate) -> FloatArray:
    counts = at.counts
    gained = counts.judged * at.moments(counts.low, counts.high).variance
    return counts.per_item(gained, gained)


def _log_likelihood(at: Estimate, wins: FloatArray) -> float:
    """Up to a constant: sum S_i theta_i - sum over pairs n log(exp(theta_i) + nu exp(mean) + exp(theta_j))."""
    counts = at.counts
    one, other = at.theta[counts.low], at.theta[counts.high]
    total = np.logaddexp(one, other)
    ties = np.array(at.tie_parameters)[at.component[counts.low]]
    undecided = ties > 0
    total[undecided] = np.logaddexp(
        total[undecided], np.log(ties[undecided]) + (one[undecided] + other[undecided]) / 2
    )
    return float((wins * at.theta).sum() - (counts.judged * total).sum())
