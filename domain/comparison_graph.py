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
TruthArray = NDArray[np.bool_]
SideArray = NDArray[np.int8]

FIRST, SECOND, NOT_KNOWN = 1, 0, -1
"""Where the chosen text was shown."""


class JudgingDataError(ValueError):
    """The decisions cannot be read as decisions: none at all, columns of unequal length, an empty name."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Decisions in the order given, names replaced by positions in the sorted `items` and `judges`.

    `place` tells where the chosen text was shown (`FIRST`, `SECOND` or `NOT_KNOWN`), None where that is not
    known of any decision. `tied` marks undecided comparisons, None where there are none; the two texts of
    such a comparison are in the order of their names, and `place` tells where the earlier name was shown.
    """

    items: tuple[str, ...]
    judges: tuple[str, ...]
    judge: IndexArray
    chosen: IndexArray
    not_chosen: IndexArray
    place: SideArray | None = None
    tied: TruthArray | None = None

    @classmethod
    def from_names(
        cls,
        judges: Sequence[str],
        chosen: Sequence[str],
        not_chosen: Sequence[str],
        *,
        shown_first: Sequence[str | None] | None = None,
        tied: Sequence[bool] | None = None,
    ) -> Comparisons:
        """Index parallel columns. Raises JudgingDataError if they are not decisions.

        `shown_first` names the text that was shown first, None or "" where it is not known.
        """
        columns = (judges, chosen, not_chosen, shown_first, tied)
        if len({len(column) for column in columns if column is not None}) > 1:
            raise JudgingDataError("judges, chosen and not_chosen must have the same length")
        if not chosen:
            raise JudgingDataError("there are no decisions")
        item_names = tuple(sorted({*chosen, *not_chosen}))
        judge_names = tuple(sorted(set(judges)))
        if not (item_names[0] and judge_names[0]):
            raise JudgingDataError("the name of an item or of a judge is empty")
        place = None if shown_first is None else _places(shown_first, chosen, not_chosen)
        found = cls(
            items=item_names,
            judges=judge_names,
            judge=_positions(judge_names, judges),
            chosen=_positions(item_names, chosen),
            not_chosen=_positions(item_names, not_chosen),
            place=None if place is None or (place == NOT_KNOWN).all() else place,
        )
        return found if tied is None or not any(tied) else found._with_ties(np.array(tied, dtype=np.bool_))

    def _with_ties(self, tied: TruthArray) -> Comparisons:
        turned = tied & (self.chosen > self.not_chosen)
        place = None
        if self.place is not None:
            place = np.where(turned & (self.place != NOT_KNOWN), 1 - self.place, self.place).astype(np.int8)
        return Comparisons(
            self.items,
            self.judges,
            self.judge,
            np.where(turned, self.not_chosen, self.chosen),
            np.where(turned, self.chosen, self.not_chosen),
            place,
            tied,
        )

    @property
    def wins(self) -> FloatArray:
        """What each decision gives its `chosen` text: 1, or 1/2 where it is undecided."""
        return np.ones(len(self)) if self.tied is None else np.where(self.tied, 0.5, 1.0)

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
            place=None if self.place is None else self.place[rows],
            tied=None if self.tied is None else self.tied[rows],
        )

    def in_canonical_order(self) -> Comparisons:
        """The same decisions sorted by judge, chosen, not chosen: equal for any order they came in."""
        keys = [self.not_chosen, self.chosen, self.judge]
        further = [column for column in (self.place, self.tied) if column is not None]
        order = np.lexsort((*further, *keys))
        return Comparisons(
            self.items,
            self.judges,
            self.judge[order],
            self.chosen[order],
            self.not_chosen[order],
            None if self.place is None else self.place[order],
            None if self.tied is None else self.tied[order],
        )


@dataclass(frozen=True, slots=True, eq=False)
class PairCounts:
    """How often each pair was judged, and each of its two sides won.

    Pairs are sorted by (`low`, `high`) with low < high; counts are whole numbers held as floats. `ties` are
    the undecided comparisons of a pair, None where there are none at all.
    `self_comparisons` counts, per item, the decisions between the item and itself, which are no pairs.
    """

    n_items: int
    low: IndexArray
    high: IndexArray
    low_wins: FloatArray
    high_wins: FloatArray
    self_comparisons: FloatArray
    ties: FloatArray | None = None

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
        high_won, ties = 1.0 - low_won, None
        if comparisons.tied is not None:
            tied = comparisons.tied[~itself].astype(np.float64)
            low_won, high_won = low_won * (1 - tied), high_won * (1 - tied)
            ties = sums_by(pair, tied, len(pairs))
        low_wins = sums_by(pair, low_won, len(pairs))
        high_wins = sums_by(pair, high_won, len(pairs))
        return cls(
            n_items=n_items,
            low=pairs // n_items,
            high=pairs % n_items,
            low_wins=low_wins,
            high_wins=high_wins,
            self_comparisons=self_counts.astype(np.float64),
            ties=ties,
        )

    @property
    def judged(self) -> FloatArray:
        """Decisions per pair, undecided ones included."""
        decided = self.low_wins + self.high_wins
        return decided if self.ties is None else decided + self.ties

    @property
    def pair_ties(self) -> FloatArray:
        """Undecided comparisons per pair."""
        return np.zeros(len(self.low)) if self.ties is None else self.ties

    def per_item(self, for_low: FloatArray, for_high: FloatArray) -> FloatArray:
        """Add up per item what each pair gives its low and its high side."""
        return sums_by(self.low, for_low, self.n_items) + sums_by(self.high, for_high, self.n_items)

    def comparisons_per_item(self) -> FloatArray:
        """M_i, an item's comparisons; one with itself counts two."""
        return self.per_item(self.judged, self.judged) + 2 * self.self_comparisons

    def wins_per_item(self) -> FloatArray:
        """S_i, an item's wins; a comparison with itself is won once, an undecided one half."""
        wins = self.per_item(self.low_wins, self.high_wins) + self.self_comparisons
        return wins if self.ties is None else wins + self.per_item(self.ties, self.ties) / 2

    def only_pairs(self, kept: TruthArray) -> PairCounts:
        """The same items with some of their pairs."""
        return PairCounts(
            n_items=self.n_items,
            low=self.low[kept],
            high=self.high[kept],
            low_wins=self.low_wins[kept],
            high_wins=self.high_wins[kept],
            self_comparisons=self.self_comparisons,
            ties=None if self.ties is None else self.ties[kept],
        )

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
                ties=None if self.ties is None else self.ties[pairs],
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


def win_arrows(counts: PairCounts) -> tuple[IndexArray, IndexArray]:
    """(winners, losers), an entry per pair and direction won; an undecided comparison leads both ways."""
    down, up = counts.low_wins + counts.pair_ties > 0, counts.high_wins + counts.pair_ties > 0
    winners = np.concatenate([counts.low[down], counts.high[up]])
    return winners, np.concatenate([counts.high[down], counts.low[up]])


def strong_parts(counts: PairCounts) -> IndexArray:
    """The set of each item, numbered from 0, within which wins lead from every item to every other."""
    from scipy import sparse  # takes a while to import, and most sessions are one such set
    from scipy.sparse import csgraph

    winners, losers = win_arrows(counts)
    graph = sparse.csr_array(
        (np.ones(len(winners)), (winners, losers)), shape=(counts.n_items, counts.n_items)
    )
    return csgraph.connected_components(graph, directed=True, connection="strong")[1].astype(np.intp)


def sums_by(group: IndexArray, values: FloatArray, n_groups: int) -> FloatArray:
    """Sum of `values` per group 0 ... n_groups - 1; 0 for an empty one."""
    return np.bincount(group, weights=values, minlength=n_groups).astype(np.float64, copy=False)


def _places(shown_first: Sequence[str | None], chosen: Sequence[str], not_chosen: Sequence[str]) -> SideArray:
    def place(row: int, first: str | None, won: str, lost: str) -> int:
        if not first or won == lost:
            return NOT_KNOWN
        if first not in (won, lost):
            raise JudgingDataError(
                f"decision {row}: shown_first is {first!r}, which is neither of the two texts compared"
            )
        return FIRST if first == won else SECOND

    rows = enumerate(zip(shown_first, chosen, not_chosen, strict=True), start=1)
    return np.fromiter((place(n, *row) for n, row in rows), dtype=np.int8, count=len(chosen))


def _positions(sorted_names: tuple[str, ...], names: Sequence[str]) -> IndexArray:
    position = {name: i for i, name in enumerate(sorted_names)}
    return np.fromiter(map(position.__getitem__, names), dtype=np.intp, count=len(names))
