"""Which pairs to judge next: what joins or holds the session together, what tells most, and some at random.

In this order:

1. While the comparisons fall into groups, nothing is worth as much as joining them, and no figure can be given for
   it, there being no common scale: the best known item of each further group with that of the largest.
2. Pairs across weak links (`domain.weak_links`), nearest scores first.
3. Pairs by expected information. One more decision between items i and j adds p (1 - p), the expected (Fisher)
   information, to the information of both. Maximised is the expected fall of the sum of the squared standard
   errors,

       1/I_i - 1/(I_i + v) + 1/I_j - 1/(I_j + v),      v = p_ij (1 - p_ij),

   at the present scores: the numerator of 1 - SSR times the number of items. It prefers items known badly, against
   opponents of equal strength. Each pair is ranked on its own, as the one next decision; after some decisions, ask
   again.

To judge by such a list alone is adaptive pairing: SSR would overstate what is gained, and nothing in the session
could tell (`domain.adaptivity`). So a share of the list, `RANDOM_SHARE` by default, is drawn at random from all
pairs, and marked. The draw depends on nothing but the number of decisions, so that the same decisions give the
same list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from domain.bradley_terry import DECIMALS, Estimate
from domain.comparison_graph import FloatArray, IndexArray
from domain.outcome_model import win_probability

if TYPE_CHECKING:
    from domain.weak_links import Cut

HOW_MANY = 20
RANDOM_SHARE = 0.2
_CELLS_AT_ONCE = 1_000_000
_PER_WEAK_LINK = 3
_BEST_KNOWN = 50
_SEED = 20190143


class Reason(StrEnum):
    """Why a pair is in the list."""

    JOINS_GROUPS = "joins_groups"
    WEAK_LINK = "weak_link"
    INFORMATION = "information"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class NextPair:
    """`first` before `second` in the order of names.

    `expected_reduction` is the fall of the sum of se^2 (logits squared); None: the pair joins two groups.
    """

    first: str
    second: str
    expected_reduction: float | None
    reason: Reason = Reason.INFORMATION


def next_pairs(
    items: Sequence[str],
    estimate: Estimate,
    how_many: int = HOW_MANY,
    *,
    random_share: float = RANDOM_SHARE,
    cuts: Sequence[Cut] = (),
) -> tuple[NextPair, ...]:
    """The `how_many` best pairs for `items` as scored; equal ones in the order of names.

    `random_share` (0 to 1) of what is left after pairs that join groups or hold weak links is random.
    """
    found = _joining_pairs(items, estimate, how_many)
    found += _across_weak_links(items, estimate, cuts)
    found = found[:how_many]
    candidates: list[tuple[float, int, int]] = []
    step = max(1, _CELLS_AT_ONCE // len(items))
    for start in range(0, len(items), step):
        rows = np.arange(start, min(start + step, len(items)))
        candidates += _best_of(estimate, rows, how_many)
        candidates = sorted(candidates, key=lambda pair: (-pair[0], pair[1], pair[2]))[:how_many]
    drawn = _random_pairs(items, estimate, round(random_share * (how_many - len(found))))
    taken = {(pair.first, pair.second) for pair in [*found, *drawn]}
    ranked = [
        NextPair(items[i], items[j], gain) for gain, i, j in candidates if (items[i], items[j]) not in taken
    ]
    known = {(pair.first, pair.second) for pair in found}
    drawn = [pair for pair in drawn if (pair.first, pair.second) not in known]
    return tuple([*found, *_mixed(ranked, drawn, random_share)][:how_many])


def _mixed(ranked: list[NextPair], drawn: list[NextPair], share: float) -> Iterator[NextPair]:
    """Both lists in their orders, a drawn pair whenever the share of drawn ones has fallen behind."""
    rest, at_random, given, given_at_random = iter(ranked), list(drawn), 0, 0
    while True:
        given += 1
        if at_random and given_at_random + 1 <= share * given + 1e-9:
            given_at_random += 1
            yield at_random.pop(0)
            continue
        following = next(rest, None)
        if following is None:
            yield from at_random
            return
        yield following


def _random_pairs(items: Sequence[str], estimate: Estimate, how_many: int) -> list[NextPair]:
    n = len(items)
    if n < 2 or how_many <= 0:
        return []
    decisions = int(estimate.counts.judged.sum() + estimate.counts.self_comparisons.sum())
    generator = np.random.RandomState((_SEED + decisions) % 2**32)
    drawn: dict[tuple[int, int], None] = {}
    for _ in range(20 * how_many):
        i, j = int(generator.randint(n)), int(generator.randint(n - 1))
        j += j >= i
        drawn.setdefault((min(i, j), max(i, j)))
        if len(drawn) == min(how_many, n * (n - 1) // 2):
            break
    return [NextPair(items[i], items[j], _gain(estimate, i, j), Reason.RANDOM) for i, j in drawn]


def _across_weak_links(items: Sequence[str], estimate: Estimate, cuts: Sequence[Cut]) -> list[NextPair]:
    found: dict[tuple[int, int], None] = {}
    for cut in cuts:
        one, other = (
            side[np.argsort(-estimate.information[side], kind="stable")[:_BEST_KNOWN]]
            for side in (cut.one, cut.other)
        )
        apart = np.round(np.abs(estimate.theta[one, np.newaxis] - estimate.theta[other]), DECIMALS)
        used: set[int] = set()
        for cell in np.argsort(apart, axis=None, kind="stable").tolist():
            i, j = int(one[cell // len(other)]), int(other[cell % len(other)])
            if i in used or j in used:
                continue
            used |= {i, j}
            found.setdefault((min(i, j), max(i, j)))
            if len(used) == 2 * _PER_WEAK_LINK:
                break
    return [NextPair(items[i], items[j], _gain(estimate, i, j), Reason.WEAK_LINK) for i, j in found]


def _gain(estimate: Estimate, i: int, j: int) -> float | None:
    if estimate.component[i] != estimate.component[j]:
        return None
    return round(float(_reduction(estimate, np.array([i]), np.array([j]))[0, 0]), DECIMALS)


def _joining_pairs(items: Sequence[str], estimate: Estimate, how_many: int) -> list[NextPair]:
    best_known = []
    for component in range(min(estimate.n_components, how_many + 1)):
        members = np.flatnonzero(estimate.component == component)
        best_known.append(items[members[np.argmax(np.round(estimate.information[members], DECIMALS))]])
    largest = best_known[0]
    return [
        NextPair(min(largest, other), max(largest, other), None, Reason.JOINS_GROUPS)
        for other in best_known[1:]
    ]


def _reduction(estimate: Estimate, rows: IndexArray, columns: IndexArray | slice) -> FloatArray:
    theta, information = estimate.theta, estimate.information
    win = win_probability(theta[rows, np.newaxis] - theta[columns])
    gained = win * (1 - win)
    own, other = information[rows, np.newaxis], information[columns]
    return gained / (own * (own + gained)) + gained / (other * (other + gained))


def _best_of(estimate: Estimate, rows: IndexArray, how_many: int) -> list[tuple[float, int, int]]:
    """The best pairs (i, j), i in `rows` and j after i. Rounded, or equal pairs would not be equal."""
    n = len(estimate.theta)
    reduction = _reduction(estimate, rows, slice(None))
    after = np.arange(n) > rows[:, np.newaxis]
    comparable = estimate.component[rows, np.newaxis] == estimate.component
    ranked = np.where(after & comparable, np.round(reduction, DECIMALS), -1.0).ravel()
    wanted = min(how_many, len(ranked))
    limit = max(np.partition(ranked, len(ranked) - wanted)[len(ranked) - wanted], 0.0)
    above = np.flatnonzero(ranked > limit)
    equal = np.flatnonzero(ranked == limit)[: wanted - len(above)]
    cells = np.concatenate([above, equal])
    i, j = rows[cells // n], cells % n
    return list(zip(ranked[cells].tolist(), i.tolist(), j.tolist(), strict=True))
