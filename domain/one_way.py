"""Separation: sets of texts between which all decisions went one way.

Where every decision between two sets goes to the same side, nothing in the decisions bounds the distance between
them: maximum likelihood would make it infinite (A. Albert and J. A. Anderson 1984, *Biometrika* 71(1), 1-10; for
paired comparisons L. R. Ford 1957), and the size of a reported gap rests on the adjustment.

Let wins lead from the chosen text to the other, undecided comparisons both ways. The strongly connected parts of
that graph, in an order in which all remaining decisions go downwards (by mean score where there is a choice),
show all of it: every cut in that order is one-way.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import Estimate
from domain.comparison_graph import FloatArray, IndexArray, PairCounts, strong_parts, sums_by, win_arrows

MOST = 5


@dataclass(frozen=True, slots=True)
class OneWay:
    """All `decisions` between `winners` and `losers` were won by `winners`; at least two texts on each side."""

    winners: tuple[str, ...]
    losers: tuple[str, ...]
    decisions: int


@dataclass(frozen=True, slots=True)
class Separation:
    """Single texts that won, or lost, every comparison, by name; and larger sets, the most even cut first."""

    won_all: tuple[str, ...]
    lost_all: tuple[str, ...]
    sets: tuple[OneWay, ...]


def separation(names: Sequence[str], estimate: Estimate) -> Separation:
    """Where all decisions went one way, in each component."""
    counts = estimate.counts
    other = counts.comparisons_per_item() - 2 * counts.self_comparisons
    wins = counts.wins_per_item() - counts.self_comparisons
    met = other > 0
    sets: list[OneWay] = []
    for members, part in counts.split(estimate.component):
        if len(members) >= 4:
            sets += _one_way_cuts(names, members, part, estimate.theta[members])
    sets.sort(key=lambda cut: -min(len(cut.winners), len(cut.losers)))
    return Separation(
        won_all=tuple(names[i] for i in np.flatnonzero(met & (wins == other)).tolist()),
        lost_all=tuple(names[i] for i in np.flatnonzero(met & (wins == 0)).tolist()),
        sets=tuple(sets[:MOST]),
    )


def _one_way_cuts(
    names: Sequence[str], members: IndexArray, part: PairCounts, theta: FloatArray
) -> list[OneWay]:
    label = strong_parts(part)
    source, target = win_arrows(part)
    n_parts = int(label.max()) + 1
    if n_parts == 1:
        return []
    size = np.bincount(label, minlength=n_parts)
    order = _downwards(label, source, target, sums_by(label, theta, n_parts) / size)
    place = np.empty(n_parts, dtype=np.intp)
    place[order] = np.arange(n_parts)
    above = np.cumsum(size[order])
    ends = place[label[part.low]], place[label[part.high]]
    opened = sums_by(np.minimum(*ends), part.judged, n_parts) - sums_by(
        np.maximum(*ends), part.judged, n_parts
    )
    across = np.cumsum(opened)
    smaller = np.minimum(above, part.n_items - above)
    found = []
    for cut in np.argsort(-smaller[:-1], kind="stable")[:MOST].tolist():
        if smaller[cut] < 2:
            break
        in_upper = place[label] <= cut
        upper, lower = members[in_upper].tolist(), members[~in_upper].tolist()
        found.append(OneWay(tuple(names[i] for i in upper), tuple(names[i] for i in lower), int(across[cut])))
    return found


def _downwards(label: IndexArray, source: IndexArray, target: IndexArray, mean: FloatArray) -> list[int]:
    """The parts in a topological order, of those that may come next the one with the highest mean first."""
    n = len(mean)
    key = np.unique(label[source] * n + label[target])
    upper, lower = key // n, key % n
    upper, lower = upper[upper != lower], lower[upper != lower]
    waiting_for = np.bincount(lower, minlength=n)
    bounds = np.searchsorted(upper, np.arange(n + 1))
    first_item = np.full(n, len(label))
    np.minimum.at(first_item, label, np.arange(len(label)))
    ready = [
        (-round(float(mean[k]), 9), int(first_item[k]), k) for k in np.flatnonzero(waiting_for == 0).tolist()
    ]
    heapq.heapify(ready)
    order = []
    while ready:
        k = heapq.heappop(ready)[2]
        order.append(k)
        for below in lower[bounds[k] : bounds[k + 1]].tolist():
            waiting_for[below] -= 1
            if not waiting_for[below]:
                heapq.heappush(ready, (-round(float(mean[below]), 9), int(first_item[below]), below))
    return order
