"""What if: a session scored again without some judges or texts, for one stretch of it, or with another adjustment.

The changes are shown beside the scores of the whole session. Both scales have mean 0 over their own items, so scores are
compared after moving the second by the mean difference of the items that both have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import DECIMALS, JudgingScores, ranked
from domain.comparison_graph import Comparisons, JudgingDataError
from domain.score_equations import EPSILON


@dataclass(frozen=True, slots=True)
class Change:
    """What is different: names of judges and items to leave out, decisions `first` to `last` (from 1) to keep.

    `prior_sd` (logits) asks for a normal prior instead of the adjustment by `epsilon`.
    """

    without_judges: tuple[str, ...] = ()
    without_items: tuple[str, ...] = ()
    first: int = 1
    last: int | None = None
    epsilon: float = EPSILON
    prior_sd: float | None = None

    @property
    def is_none(self) -> bool:
        """Whether nothing is different."""
        return self == Change()


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One item before and after; None where it is only in the other one. `moved` is in logits."""

    item: str
    theta_before: float | None
    theta_after: float | None
    moved: float | None
    rank_before: int | None
    rank_after: int | None


@dataclass(frozen=True, slots=True)
class Differences:
    """`correlation` is Pearson's, of the items in both; None for fewer than three or equal scores."""

    decisions_before: int
    decisions_after: int
    ssr_before: float | None
    ssr_after: float | None
    correlation: float | None
    items: tuple[ItemChange, ...]


def changed(comparisons: Comparisons, change: Change) -> Comparisons:
    """The decisions that are left. Raises JudgingDataError for an unknown name, or where none is left."""
    kept = np.ones(len(comparisons), dtype=np.bool_)
    kept[: change.first - 1] = False
    if change.last is not None:
        kept[change.last :] = False
    for name in change.without_judges:
        kept &= comparisons.judge != _place(comparisons.judges, "judge", name)
    for name in change.without_items:
        item = _place(comparisons.items, "text", name)
        kept &= (comparisons.chosen != item) & (comparisons.not_chosen != item)
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise JudgingDataError("no decision is left with these options")
    return comparisons.take(rows)


def differences(before: JudgingScores, after: JudgingScores) -> Differences:
    """What changed, the items that moved most first."""
    old, new = _by_name(before), _by_name(after)
    common = [name for name in old if name in new]
    x, y = (np.array([scores[name][0] for name in common]) for scores in (old, new))
    shift = float((y - x).mean()) if common else 0.0
    changes = []
    for name in sorted({*old, *new}):
        theta, rank = old.get(name, (None, None))
        theta_after, rank_after = new.get(name, (None, None))
        moved = None if theta is None or theta_after is None else round(theta_after - theta - shift, DECIMALS)
        changes.append(ItemChange(name, theta, theta_after, moved, rank, rank_after))
    changes.sort(key=lambda each: (each.moved is not None, -abs(each.moved or 0.0), each.item))
    correlation = None
    if len(common) >= 3 and x.std() > 1e-9 and y.std() > 1e-9:
        correlation = round(float(np.corrcoef(x, y)[0, 1]), DECIMALS)
    return Differences(before.decisions, after.decisions, before.ssr, after.ssr, correlation, tuple(changes))


def _by_name(scores: JudgingScores) -> Mapping[str, tuple[float, int]]:
    return {item.item: (item.theta, rank) for item, rank in ranked(scores.items)}


def _place(names: Sequence[str], kind: str, name: str) -> int:
    if name not in names:
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        raise JudgingDataError(f"there is no {kind} {name!r}; there are {', '.join(names[:10])}{more}")
    return names.index(name)
