"""Which pairs to judge next, by expected information.

One more decision between items i and j adds p (1 - p), the expected (Fisher) information, to the
information of both. Maximised is the expected fall of the sum of the squared standard errors,

    1/I_i - 1/(I_i + v) + 1/I_j - 1/(I_j + v),      v = p_ij (1 - p_ij),

at the present scores: the numerator of 1 - SSR times the number of items. It prefers items known badly,
against opponents of equal strength. Each pair is ranked on its own, as the one next decision; after some
decisions, ask again. Judging by such a list is adaptive pairing: SSR will overstate what is gained.

While the comparisons fall into groups, nothing is worth as much as joining them, and no figure can be given
for it, there being no common scale. Those pairs come first: the best known item of each further group with
that of the largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import DECIMALS, Estimate
from domain.comparison_graph import IndexArray
from domain.score_equations import win_probability

HOW_MANY = 20
_CELLS_AT_ONCE = 1_000_000


@dataclass(frozen=True, slots=True)
class NextPair:
    """`first` before `second` in the order of names.

    `expected_reduction` is the fall of the sum of se^2 (logits squared); None: the pair joins two groups.
    """

    first: str
    second: str
    expected_reduction: float | None


def next_pairs(items: Sequence[str], estimate: Estimate, how_many: int = HOW_MANY) -> tuple[NextPair, ...]:
    """The `how_many` best pairs for `items` as scored; equal ones in the order of names."""
    joining = _joining_pairs(items, estimate, how_many)
    candidates: list[tuple[float, int, int]] = []
    step = max(1, _CELLS_AT_ONCE // len(items))
    for start in range(0, len(items), step):
        rows = np.arange(start, min(start + step, len(items)))
        candidates += _best_of(estimate, rows, how_many)
        candidates = sorted(candidates, key=lambda pair: (-pair[0], pair[1], pair[2]))[:how_many]
    ranked = [NextPair(items[i], items[j], gain) for gain, i, j in candidates]
    return tuple([*joining, *ranked][:how_many])


def _joining_pairs(items: Sequence[str], estimate: Estimate, how_many: int) -> list[NextPair]:
    best_known = []
    for component in range(min(estimate.n_components, how_many + 1)):
        members = np.flatnonzero(estimate.component == component)
        best_known.append(items[members[np.argmax(np.round(estimate.information[members], DECIMALS))]])
    largest = best_known[0]
    return [NextPair(min(largest, other), max(largest, other), None) for other in best_known[1:]]


def _best_of(estimate: Estimate, rows: IndexArray, how_many: int) -> list[tuple[float, int, int]]:
    """The best pairs (i, j), i in `rows` and j after i. Rounded, or equal pairs would not be equal."""
    theta, information = estimate.theta, estimate.information
    win = win_probability(theta[rows, np.newaxis] - theta)
    gained = win * (1 - win)
    own, other = information[rows, np.newaxis], information
    reduction = gained / (own * (own + gained)) + gained / (other * (other + gained))
    after = np.arange(len(theta)) > rows[:, np.newaxis]
    comparable = estimate.component[rows, np.newaxis] == estimate.component
    ranked = np.where(after & comparable, np.round(reduction, DECIMALS), -1.0).ravel()
    wanted = min(how_many, len(ranked))
    limit = max(np.partition(ranked, len(ranked) - wanted)[len(ranked) - wanted], 0.0)
    above = np.flatnonzero(ranked > limit)
    equal = np.flatnonzero(ranked == limit)[: wanted - len(above)]
    cells = np.concatenate([above, equal])
    i, j = rows[cells // len(theta)], cells % len(theta)
    return list(zip(ranked[cells].tolist(), i.tolist(), j.tolist(), strict=True))
