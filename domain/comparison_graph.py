"""Judge decisions as arrays, their counts per pair, and the graph they span.

A decision is (judge, chosen, not chosen), three names that are text and are never interpreted. Everything
the estimator needs is in the counts per pair, so `PairCounts` is built in one pass over the decisions and
the rest costs what the number of *different* pairs costs. The counts are whole numbers in the order of the
sorted names, so that they, and all that is computed from them, do not depend on the order of the decisions.

An item judged against itself
-----------------------------
It happens in real sessions (a text uploaded twice under one code). Such a decision counts like any other,
on both of its sides: the item was compared twice, and won once. That is what the sums over "the comparisons
of item i" mean literally, and what R's ``sirt::btm`` computes, which adds up the left and the right column
of its table. It says nothing about the item's place (the probability is 1/2 whatever theta), yet it adds
1/2 to its information and pulls its share of wins towards one half. It does not connect anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]


class JudgingDataError(ValueError):
    """The decisions cannot be read as decisions: none at all, columns of unequal length, an empty name."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Decisions in the order given, names replaced by positions in the sorted `items` and `judges`."""

    items: tuple[str, ...]
    judges: tuple[str, ...]
    judge: IndexArray
    chosen: IndexArray
    not_chosen: IndexArray

    @classmethod
    def from_names(
        cls, judges: Sequence[str], chosen: Sequence[str], not_chosen: Sequence[str]
    ) -> Comparisons:
        """Index three parallel columns. Raises JudgingDataError if they are no decisions."""
        if not len(judges) == len(chosen) == len(not_chosen):
            raise JudgingDataError("judges, chosen and not_chosen must have the same length")
        if not chosen:
            raise JudgingDataError("there are no decisions")
        item_names = tuple(sorted({*chosen, *not_chosen}))
        judge_names = tuple(sorted(set(judges)))
        if not (item_names[0] and judge_names[0]):
            raise JudgingDataError("the name of an item or of a judge is empty")
        return cls(
            items=item_names,
            judges=judge_names,
            judge=_positions(judge_names, judges),
            chosen=_positions(item_names, chosen),
            not_chosen=_positions(item_names, not_chosen),
        )

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, rows: IndexArray | slice) -> Comparisons:
        """The decisions at `rows`, with only the items and judges that occur in them.

        The order of the names stays, so positions in the part rise with positions in the whole.
        """
        chosen, not_chosen, judge = self.chosen[rows], self.not_chosen[rows], self.judge[rows]
        kept_items, item = np.unique(np.concatenate([chosen, not_chosen]), return_inverse=True)
        kept_judges, judge = np.unique(judge, return_inverse=True)
        return Comparisons(
            items=tuple(self.items[i] for i in kept_items.tolist()),
            judges=tuple(self.judges[j] for j in kept_judges.tolist()),
            judge=judge,
            chosen=item[: len(chosen)],
            not_chosen=item[len(chosen) :],
        )

    def in_canonical_order(self) -> Comparisons:
        """The same decisions sorted by judge, chosen, not chosen: equal for any order they came in."""
        order = np.lexsort((self.not_chosen, self.chosen, self.judge))
        return Comparisons(
            self.items, self.judges, self.judge[order], self.chosen[order], self.not_chosen[order]
        )


@dataclass(frozen=True, slots=True, eq=False)
class PairCounts:
    """How often each pair was judged, and each of its two sides won.

    Pairs are sorted by (`low`, `high`) with low < high; counts are whole numbers held as floats.
    `self_comparisons` counts, per item, the decisions between the item and itself, which are no pairs.
    """

    n_items: int
    low: IndexArray
    high: IndexArray
    low_wins: FloatArray
    high_wins: FloatArray
    self_comparisons: FloatArray

    @classmethod
    def of(cls, comparisons: Comparisons) -> PairCounts:
        """Count the pairs of `comparisons`."""
        n_items = len(comparisons.items)
        chosen, not_chosen = comparisons.chosen, comparisons.not_chosen
        itself = chosen == not_chosen
        self_counts = np.bincount(chosen[itself], minlength=n_items)
        chosen, not_chosen = chosen[~itself], not_chosen[~itself]
        key = np.minimum(chosen, not_chosen) * n_items + np.maximum(chosen, not_chosen)
        pairs, pair = np.unique(key, return_inverse=True)
        low_won = (chosen < not_chosen).astype(np.float64)
        low_wins = sums_by(pair, low_won, len(pairs))
        high_wins = sums_by(pair, 1.0 - low_won, len(pairs))
        return cls(
            n_items=n_items,
            low=pairs // n_items,
            high=pairs % n_items,
            low_wins=low_wins,
            high_wins=high_wins,
            self_comparisons=self_counts.astype(np.float64),
        )

    @property
    def judged(self) -> FloatArray:
        """Decisions per pair."""
        return self.low_wins + self.high_wins

    def per_item(self, for_low: FloatArray, for_high: FloatArray) -> FloatArray:
        """Add up per item what each pair gives its low and its high side."""
        return sums_by(self.low, for_low, self.n_items) + sums_by(self.high, for_high, self.n_items)

    def comparisons_per_item(self) -> FloatArray:
        """M_i, an item's comparisons; one with itself counts two."""
        return self.per_item(self.judged, self.judged) + 2 * self.self_comparisons

    def wins_per_item(self) -> FloatArray:
        """S_i, an item's wins; a comparison with itself is won once."""
        return self.per_item(self.low_wins, self.high_wins) + self.self_comparisons

    def split(self, label: IndexArray) -> list[tuple[IndexArray, PairCounts]]:
        """One part per label (0, 1, ... without gaps): the items in it, and the counts among them.

        `label` says for each item where it belongs; pairs must not cross. One sort for all parts together,
        so that a job which is still in hundreds of pieces costs no more than a connected one.
        """
        by_label = np.argsort(label, kind="stable")
        item_bounds = np.searchsorted(label[by_label], np.arange(label.max() + 2))
        place = np.empty(self.n_items, dtype=np.intp)
        place[by_label] = np.arange(self.n_items) - item_bounds[label[by_label]]
        pair_order = np.argsort(label[self.low], kind="stable")
        pair_bounds = np.searchsorted(label[self.low][pair_order], np.arange(label.max() + 2))
        parts = []
        for k in range(len(item_bounds) - 1):
            members = by_label[item_bounds[k] : item_bounds[k + 1]]
            pairs = pair_order[pair_bounds[k] : pair_bounds[k + 1]]
            part = PairCounts(
                n_items=len(members),
                low=place[self.low[pairs]],
                high=place[self.high[pairs]],
                low_wins=self.low_wins[pairs],
                high_wins=self.high_wins[pairs],
                self_comparisons=self.self_comparisons[members],
            )
            parts.append((members, part))
        return parts


def connected_components(counts: PairCounts) -> IndexArray:
    """The component of each item: 0 for the largest, equal sizes in the order of their first items.

    The undirected graph is what counts: the adjustment of the scores keeps an item that won everything
    finite, so one decision in either direction is a link. Every item takes the smallest label among its
    neighbours, then labels are followed to their ends, until nothing changes; a few rounds suffice, on
    numpy alone (`scipy.sparse.csgraph` would double the time a short command takes to start).
    """
    label = np.arange(counts.n_items)
    while True:
        at_low, at_high = label[counts.low], label[counts.high]
        if np.array_equal(at_low, at_high):
            break
        smaller = np.minimum(at_low, at_high)
        np.minimum.at(label, at_low, smaller)
        np.minimum.at(label, at_high, smaller)
        while not np.array_equal(followed := label[label], label):
            label = followed
    _, first_item, label, size = np.unique(label, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(size), dtype=np.intp)
    rank[np.lexsort((first_item, -size))] = np.arange(len(size))
    return rank[label]


def sums_by(group: IndexArray, values: FloatArray, n_groups: int) -> FloatArray:
    """Sum of `values` per group 0 ... n_groups - 1; 0 for an empty one."""
    return np.bincount(group, weights=values, minlength=n_groups).astype(np.float64, copy=False)


def _positions(sorted_names: tuple[str, ...], names: Sequence[str]) -> IndexArray:
    position = {name: i for i, name in enumerate(sorted_names)}
    return np.fromiter(map(position.__getitem__, names), dtype=np.intp, count=len(names))
