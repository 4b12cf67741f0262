"""Errors from the whole covariance matrix: of scores, of differences, of ranks; and penalised scores beside them.

The standard errors that the literature reports, 1 / sqrt(I_i), come from the diagonal of the information matrix
and ignore covariances. Where the graph of comparisons is well connected that hardly matters; where two groups
hang together by a few decisions, a difference across them is known far worse than these errors say. Here

- `se_full` is the square root of the diagonal of L+ (`domain.laplacian`), the covariance of scores with mean 0
  (D. Firth 2005, *Journal of Statistical Software* 12(1), on Bradley-Terry models in R: covariances, and why
  comparisons of single items need them);
- a difference has the variance V_ii + V_jj - 2 V_ij;
- ranks: the 2.5 % and 97.5 % quantiles of each item's rank among `DRAWS` draws from N(theta, L+), with a fixed
  seed (H. Goldstein and D. J. Spiegelhalter 1996, *Journal of the Royal Statistical Society A* 159(3), 385-443).

Up to `LARGEST_DENSE` items L+ is computed; beyond, all of this comes from `FEW_DRAWS` draws: a standard error then
has a relative error of about 6 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import DECIMALS, Estimate, ItemScore, ranked
from domain.comparison_graph import FloatArray, IndexArray
from domain.firth import firth_scores
from domain.laplacian import Laplacian
from domain.proportions import Z_95


@dataclass(frozen=True, slots=True)
class ItemUncertainty:
    """One item, in the order of the scores. Ranks count within the component; logits otherwise.

    `lower` and `upper` bound theta by the full error; `above_next` is the distance to the next lower item, with
    the limits of its interval; None for the last of a component. `theta_firth`: see `domain.firth`.
    """

    item: str
    se_full: float
    lower: float
    upper: float
    rank: int
    best_rank: int
    worst_rank: int
    above_next: float | None
    above_next_se: float | None
    above_next_lower: float | None
    above_next_upper: float | None
    theta_firth: float


@dataclass(frozen=True, slots=True, eq=False)
class ComponentCovariance:
    """The items of a connected component (`members`, rising), their Laplacian, and draws from N(0, L+)."""

    members: IndexArray
    laplacian: Laplacian
    draws: FloatArray

    @property
    def variances(self) -> FloatArray:
        """Of the scores, whose mean is 0."""
        if self.laplacian.is_dense:
            return np.maximum(np.diag(self.laplacian.inverse()), 0.0)
        squares: FloatArray = (self.draws**2).mean(axis=1)
        return squares

    def variances_of_differences(self, one: IndexArray, other: IndexArray) -> FloatArray:
        """Of the items at places `one` of `members` and those at places `other`."""
        if self.laplacian.is_dense:
            inverse = self.laplacian.inverse()
            diagonal = np.diag(inverse)
            found = diagonal[one] + diagonal[other] - 2 * inverse[one, other]
            return np.maximum(found, 0.0)
        return np.array(
            [float(((self.draws[i] - self.draws[j]) ** 2).mean()) for i, j in zip(one, other, strict=True)]
        )


def covariances(estimate: Estimate) -> tuple[ComponentCovariance, ...]:
    """The covariance of each component, the largest first."""
    found = []
    for members, part in estimate.counts.split(estimate.component):
        at = estimate.moments(members[part.low], members[part.high]) if len(members) > 1 else None
        weights = np.zeros(0) if at is None else part.judged * at.variance
        laplacian = Laplacian(len(members), part.low, part.high, weights)
        draws = np.zeros((len(members), 1)) if at is None else laplacian.draws()
        found.append(ComponentCovariance(members, laplacian, draws))
    return tuple(found)


def uncertainties(
    items: Sequence[ItemScore],
    names: Sequence[str],
    estimate: Estimate,
    parts: Sequence[ComponentCovariance],
) -> tuple[ItemUncertainty, ...]:
    """Errors and intervals of scored `items`, whose `names` are in the order of the estimate."""
    n = len(names)
    se, best, worst = np.zeros(n), np.ones(n, dtype=np.intp), np.ones(n, dtype=np.intp)
    place = np.zeros(n, dtype=np.intp)
    for part in parts:
        place[part.members] = np.arange(len(part.members))
        se[part.members] = np.sqrt(part.variances)
        best[part.members], worst[part.members] = _rank_limits(estimate.theta[part.members], part.draws)
    firth = firth_scores(estimate)
    position = {name: i for i, name in enumerate(names)}
    order = np.array([position[item.item] for item in items], dtype=np.intp)
    step_se = np.full(n, np.nan)
    for k, part in enumerate(parts):
        own = order[estimate.component[order] == k]
        variances = part.variances_of_differences(place[own[:-1]], place[own[1:]])
        step_se[own[:-1]] = np.sqrt(variances)
    found = []
    for number, (item, rank) in enumerate(ranked(items)):
        i = int(order[number])
        error, step_error = float(se[i]), float(step_se[i])
        gap = None if np.isnan(step_error) else item.theta - items[number + 1].theta
        found.append(
            ItemUncertainty(
                item=item.item,
                se_full=round(error, DECIMALS),
                lower=round(item.theta - Z_95 * error, DECIMALS),
                upper=round(item.theta + Z_95 * error, DECIMALS),
                rank=rank,
                best_rank=min(rank, int(best[i])),
                worst_rank=max(rank, int(worst[i])),
                above_next=None if gap is None else round(gap, DECIMALS),
                above_next_se=None if gap is None else round(step_error, DECIMALS),
                above_next_lower=None if gap is None else round(gap - Z_95 * step_error, DECIMALS),
                above_next_upper=None if gap is None else round(gap + Z_95 * step_error, DECIMALS),
                theta_firth=round(float(firth[i]), DECIMALS) + 0.0,
            )
        )
    return tuple(found)


def _rank_limits(theta: FloatArray, draws: FloatArray) -> tuple[IndexArray, IndexArray]:
    n, k = len(theta), draws.shape[1]
    order = np.argsort(-(theta[:, np.newaxis] + draws), axis=0, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, n + 1)[:, np.newaxis], axis=0)
    ranks.sort(axis=1)
    lowest = int(np.floor(0.025 * (k - 1)))
    return ranks[:, lowest], ranks[:, k - 1 - lowest]
