"""Scores of the decisions beside scores that somebody else published for the same texts: how far do they agree?

Reported are Pearson's correlation of the scores and Spearman's of the ranks (C. Spearman 1904, *American Journal of
Psychology* 15(1), 72-101; equal ones have their mean rank), the share of pairs of texts that the two put in opposite
order (Kendall's discordant pairs: M. G. Kendall 1938, *Biometrika* 30(1/2), 81-93), and the texts whose published rank
lies furthest from ours. `beyond_error` says that it lies outside the 95 % interval of ours (`domain.uncertainty`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import DECIMALS
from domain.comparison_graph import FloatArray, IndexArray
from domain.uncertainty import ItemUncertainty

MOST_DISAGREEMENTS = 20
_NO_SPREAD = 1e-12


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A text that the two place differently; ranks are among the texts that both have, from 1."""

    item: str
    rank: float
    published_rank: float
    difference: float
    beyond_error: bool


@dataclass(frozen=True, slots=True)
class PublishedComparison:
    """`items` that both have. Correlations are None for fewer than three texts, or where all are equal.

    `beyond_error` counts all such texts; `disagreements` are the largest ones.
    """

    items: int
    score_correlation: float | None
    rank_correlation: float | None
    pairs: int
    opposite_pairs: int
    beyond_error: int
    disagreements: tuple[Disagreement, ...]


def published_comparison(
    ours: Mapping[str, float],
    published_ranks: Mapping[str, int],
    published_scores: Mapping[str, float],
    errors: Sequence[ItemUncertainty],
) -> PublishedComparison | None:
    """Compare `ours`, theta of one component, with what is published (rank 1 is the best). None without a common text."""
    names = sorted(ours.keys() & published_ranks.keys())
    if not names:
        return None
    theta = np.array([ours[name] for name in names])
    theirs = -np.array([published_ranks[name] for name in names], dtype=np.float64)
    own_ranks, their_ranks = _mean_ranks(theta), _mean_ranks(theirs)
    scored = [name for name in names if name in published_scores]
    limits = {each.item: (each.best_rank, each.worst_rank) for each in errors}
    # The intervals count among all of our texts; a rank there has as many common texts above it.
    above = np.concatenate([[0], np.cumsum([each.item in published_ranks for each in errors])])
    found = []
    for name, own, published in zip(names, own_ranks.tolist(), their_ranks.tolist(), strict=True):
        best, worst = above[limits[name][0] - 1] + 1, max(above[limits[name][1]], 1)
        found.append(
            Disagreement(name, own, published, round(published - own, 1), not best <= published <= worst)
        )
    opposite = 0
    for i in range(len(names)):
        opposite += int(((theta[i + 1 :] - theta[i]) * (theirs[i + 1 :] - theirs[i]) < 0).sum())
    found.sort(key=lambda each: (-abs(each.difference), each.item))
    return PublishedComparison(
        items=len(names),
        score_correlation=_correlation(
            np.array([ours[name] for name in scored]), np.array([published_scores[name] for name in scored])
        ),
        rank_correlation=_correlation(own_ranks, their_ranks),
        pairs=len(names) * (len(names) - 1) // 2,
        opposite_pairs=opposite,
        beyond_error=sum(each.beyond_error for each in found),
        disagreements=tuple(each for each in found if each.difference)[:MOST_DISAGREEMENTS],
    )


def _mean_ranks(scores: FloatArray) -> FloatArray:
    """Ranks from 1, the highest first; equal scores share the mean of their ranks."""
    _, group, size = np.unique(-np.round(scores, 9), return_inverse=True, return_counts=True)
    last: IndexArray = np.cumsum(size)
    ranks: FloatArray = (last - (size - 1) / 2)[group]
    return ranks


def _correlation(x: FloatArray, y: FloatArray) -> float | None:
    if len(x) < 3 or min(x.std(), y.std()) < _NO_SPREAD:
        return None
    return round(float(np.corrcoef(x, y)[0, 1]), DECIMALS)
