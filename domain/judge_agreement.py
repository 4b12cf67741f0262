"""How often judges, human or model, agree on the pairs of items that both have judged.

On one pair, two judges agree with the probability that a decision of the one, drawn at random, equals a
decision of the other: 1 or 0 if each judged it once, something between if one of them was of two minds.
`agreements` adds this up over the shared pairs, `rate` is its mean. Decisions of an item against itself are
left out.

`kappa` is Cohen's (J. Cohen 1960, *Educational and Psychological Measurement* 20(1), 37-46) for two answers
of which neither is "first": which item of a pair is named first is arbitrary, so by chance each answer has
probability 1/2, and kappa = (rate - 1/2) / (1 - 1/2) = 2 rate - 1. Computed from the judges' own margins it
would change with the names of the items.

The figures of one judge against all others, and of all judges together, take time and memory in proportion
to the decisions. The table of judges by judges is quadratic, so it is made for the `MOST_JUDGES` with the
most decisions only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import DECIMALS
from domain.comparison_graph import Comparisons, FloatArray, IndexArray, sums_by

MOST_JUDGES = 200


@dataclass(frozen=True, slots=True)
class Rate:
    """`shared_pairs` counts a pair once for every two judges who share it; None where there is none."""

    shared_pairs: int
    agreements: float
    rate: float | None
    kappa: float | None


@dataclass(frozen=True, slots=True)
class JudgeAgainstOthers:
    """One judge compared with every other judge of the same pairs."""

    judge: str
    agreement: Rate


@dataclass(frozen=True, slots=True)
class JudgePair:
    """Two judges who share at least one pair, `first` before `second` in the order of names."""

    first: str
    second: str
    agreement: Rate


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of all judges together, of each (by name), and of two each (those who share the most pairs first)."""

    overall: Rate
    judges: tuple[JudgeAgainstOthers, ...]
    judge_pairs: tuple[JudgePair, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Opinions:
    """One entry per judge and pair, sorted: how much more often the pair's first item was chosen, -1 to 1."""

    judge: IndexArray
    pair: IndexArray
    balance: FloatArray
    n_pairs: int


def judge_agreement(comparisons: Comparisons, most_judges: int = MOST_JUDGES) -> Agreement:
    """Agreement on shared pairs. With balances x and y, two judges agree with probability (1 + x y) / 2."""
    n_judges = len(comparisons.judges)
    opinions = _opinions(comparisons)
    judges_of_pair = np.bincount(opinions.pair, minlength=opinions.n_pairs)
    balance_of_pair = sums_by(opinions.pair, opinions.balance, opinions.n_pairs)
    others = (judges_of_pair[opinions.pair] - 1).astype(np.float64)
    others_balance = balance_of_pair[opinions.pair] - opinions.balance
    shared = sums_by(opinions.judge, others, n_judges)
    product = sums_by(opinions.judge, opinions.balance * others_balance, n_judges)
    return Agreement(
        # Everything is counted here from both sides.
        overall=_rate(float(shared.sum()) / 2, float(product.sum()) / 2),
        judges=tuple(
            JudgeAgainstOthers(name, _rate(n, balance))
            for name, n, balance in zip(comparisons.judges, shared.tolist(), product.tolist(), strict=True)
        ),
        judge_pairs=_judge_pairs(comparisons, opinions, most_judges),
    )


def _opinions(comparisons: Comparisons) -> _Opinions:
    different = comparisons.chosen != comparisons.not_chosen
    chosen, not_chosen = comparisons.chosen[different], comparisons.not_chosen[different]
    n_items = len(comparisons.items)
    _, pair = np.unique(
        np.minimum(chosen, not_chosen) * n_items + np.maximum(chosen, not_chosen), return_inverse=True
    )
    n_pairs = int(pair.max(initial=-1)) + 1
    key, opinion = np.unique(comparisons.judge[different] * max(n_pairs, 1) + pair, return_inverse=True)
    direction = np.where(chosen < not_chosen, 1.0, -1.0)
    judged = np.bincount(opinion, minlength=len(key))
    return _Opinions(
        judge=key // max(n_pairs, 1),
        pair=key % max(n_pairs, 1),
        balance=sums_by(opinion, direction, len(key)) / judged,
        n_pairs=n_pairs,
    )


def _judge_pairs(comparisons: Comparisons, opinions: _Opinions, most_judges: int) -> tuple[JudgePair, ...]:
    from scipy import sparse  # here, because it takes half a second to import and scores do without it

    decisions = np.bincount(comparisons.judge, minlength=len(comparisons.judges))
    busiest = np.sort(np.argsort(-decisions, kind="stable")[:most_judges])
    shape = (len(comparisons.judges), opinions.n_pairs)
    places = (opinions.judge, opinions.pair)
    balance = sparse.csr_array((opinions.balance, places), shape=shape)[busiest]
    judged = sparse.csr_array((np.ones(len(opinions.pair)), places), shape=shape)[busiest]
    shared: FloatArray = (judged @ judged.T).toarray()
    product: FloatArray = (balance @ balance.T).toarray()
    first, second = np.nonzero(np.triu(shared, k=1))
    order = np.argsort(-shared[first, second], kind="stable")
    names = [comparisons.judges[j] for j in busiest.tolist()]
    return tuple(
        JudgePair(names[j], names[k], _rate(float(shared[j, k]), float(product[j, k])))
        for j, k in zip(first[order].tolist(), second[order].tolist(), strict=True)
    )


def _rate(shared: float, product: float) -> Rate:
    if not shared:
        return Rate(0, 0.0, None, None)
    agreements = (shared + product) / 2
    rate = agreements / shared
    return Rate(
        int(shared), round(agreements, DECIMALS), round(rate, DECIMALS), round(2 * rate - 1, DECIMALS)
    )
