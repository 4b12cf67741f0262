"""How far the scores of a judging session can be trusted: beyond the one number SSR.

SSR is computed from the model's own errors. Two figures that do not rest on them belong beside it: the split-half
reliability, and how SSR grew. Neither sees what all decisions have in common: where pairs were chosen by the scores
so far, both halves inherit the pairing, and the split-half reliability of coin tosses can be 0.98. What protects
from that is the forward test in `domain.findings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from domain.bradley_terry import DECIMALS, Estimate, ItemScore, JudgeFit, JudgingScores, estimate_scores
from domain.comparison_graph import Comparisons, FloatArray, IndexArray, PairCounts
from domain.findings import Findings, find
from domain.judge_agreement import Agreement, judge_agreement
from domain.next_pairs import RANDOM_SHARE, NextPair, next_pairs

SPLITS = 10
_SEED = 20120911
_FEWEST_COMMON_ITEMS = 3


class SplitBy(StrEnum):
    """What is divided into halves: judges (agreement of two panels) or single decisions."""

    JUDGES = "judges"
    DECISIONS = "decisions"


@dataclass(frozen=True, slots=True)
class SplitHalf:
    """Split-half reliability; `None` where no split could be used.

    `correlation` is the mean over the usable splits, `reliability` the same stepped up to the full session
    by Spearman and Brown, 2 r / (1 + r), and None where r is not positive (the formula has no meaning there).
    """

    split_by: SplitBy
    splits: int
    usable_splits: int
    correlation: float | None
    lowest: float | None
    highest: float | None
    reliability: float | None


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """Reliability after the first `decisions`, on the `items` seen by then; None while not connected."""

    decisions: int
    items: int
    components: int
    ssr: float | None
    separation_g: float | None


@dataclass(frozen=True, slots=True)
class Misfits:
    """Judges and items with infit above mean + 2 sd (n - 1) of their kind, worst first; None: undefined."""

    judge_limit: float | None
    judges: tuple[JudgeFit, ...]
    item_limit: float | None
    items: tuple[ItemScore, ...]


@dataclass(frozen=True, slots=True)
class JudgingQuality:
    """All of it for one session."""

    split_half_by_judges: SplitHalf
    split_half_by_decisions: SplitHalf
    growth: tuple[GrowthPoint, ...]
    agreement: Agreement
    misfits: Misfits
    next_pairs: tuple[NextPair, ...]
    findings: Findings


def assess_quality(
    comparisons: Comparisons,
    scores: JudgingScores,
    *,
    estimate: Estimate | None = None,
    findings: Findings | None = None,
    random_share: float = RANDOM_SHARE,
) -> JudgingQuality:
    """Everything in this module for `comparisons`, in the order they were made, and their `scores`.

    `estimate` and `findings` are computed unless given; `random_share` is of the next pairs.
    """
    estimate = estimate or estimate_scores(PairCounts.of(comparisons))
    findings = findings or find(comparisons, estimate, scores)
    return JudgingQuality(
        split_half_by_judges=split_half_reliability(comparisons, SplitBy.JUDGES),
        split_half_by_decisions=split_half_reliability(comparisons, SplitBy.DECISIONS),
        growth=reliability_growth(comparisons),
        agreement=judge_agreement(comparisons),
        misfits=misfits(scores),
        next_pairs=next_pairs(comparisons.items, estimate, random_share=random_share, cuts=findings.cuts),
        findings=findings,
    )


def split_half_reliability(comparisons: Comparisons, split_by: SplitBy, splits: int = SPLITS) -> SplitHalf:
    """How well the scores from one half agree with those from the other (Pearson), over fixed `splits`.

    Splitting the judges answers whether another panel would have come to the same scores (M.-J. Bisson,
    C. Gilmore, M. Inglis and I. Jones 2016, *International Journal of Research in Undergraduate Mathematics
    Education* 2(2), 141-164); splitting the decisions is what is left with one judge, and blind to what the
    judges have in common. Each half is fitted on its own. Items count that are in the largest connected
    component of both halves; a split that leaves fewer than 3, or equal scores only, is not usable.

    Nothing is random: the splits are permutations of the sorted judges, or of the decisions sorted by judge
    and items, from a generator with a fixed seed whose stream numpy has promised not to change
    (`RandomState`, NEP 19). The order of the decisions makes no difference; names do, by their order.
    """
    ordered = comparisons.in_canonical_order()
    units = len(ordered.judges) if split_by is SplitBy.JUDGES else len(ordered)
    unit_of_decision = ordered.judge if split_by is SplitBy.JUDGES else np.arange(units)
    generator = np.random.RandomState(_SEED)
    correlations = []
    for _ in range(splits if units > 1 else 0):
        in_first = np.zeros(units, dtype=np.bool_)
        in_first[generator.permutation(units)[: units // 2]] = True
        rows = in_first[unit_of_decision]
        first, second = ordered.take(np.flatnonzero(rows)), ordered.take(np.flatnonzero(~rows))
        correlation = _correlation(_scores_in_main_component(first), _scores_in_main_component(second))
        if correlation is not None:
            correlations.append(correlation)
    mean = sum(correlations) / len(correlations) if correlations else None
    return SplitHalf(
        split_by=split_by,
        splits=splits,
        usable_splits=len(correlations),
        correlation=_rounded(mean),
        lowest=_rounded(min(correlations, default=None)),
        highest=_rounded(max(correlations, default=None)),
        reliability=_rounded(2 * mean / (1 + mean)) if mean is not None and mean > 0 else None,
    )


def reliability_growth(comparisons: Comparisons, steps: int = 10) -> tuple[GrowthPoint, ...]:
    """SSR after each tenth of the decisions (rounded up), in the order in which they were made."""
    total = len(comparisons)
    points = []
    for decisions in sorted({-(-total * step // steps) for step in range(1, steps + 1)}):
        estimate = estimate_scores(PairCounts.of(comparisons.take(slice(decisions))))
        ssr, separation_g = estimate.separation()
        points.append(
            GrowthPoint(
                decisions=decisions,
                items=estimate.counts.n_items,
                components=estimate.n_components,
                ssr=_rounded(ssr),
                separation_g=_rounded(separation_g),
            )
        )
    return tuple(points)


def misfits(scores: JudgingScores) -> Misfits:
    """The usual rule (Pollitt 2012): infit more than two standard deviations above the mean.

    Among five or fewer it can flag nobody (one of five is at most 1.8 sd above the mean): `domain.judge_limits` has
    limits for small panels.
    """
    judge_limit, item_limit = _infit_limit(scores.judges), _infit_limit(scores.items)
    return Misfits(
        judge_limit=judge_limit,
        judges=tuple(
            sorted(
                (judge for judge in scores.judges if judge_limit is not None and judge.infit > judge_limit),
                key=lambda judge: (-judge.infit, judge.judge),
            )
        ),
        item_limit=item_limit,
        items=tuple(
            sorted(
                (item for item in scores.items if item_limit is not None and item.infit > item_limit),
                key=lambda item: (-item.infit, item.item),
            )
        ),
    )


def _infit_limit(fits: Sequence[ItemScore] | Sequence[JudgeFit]) -> float | None:
    if len(fits) < 2:
        return None
    infits = np.array([fit.infit for fit in fits])
    return _rounded(float(infits.mean() + 2 * infits.std(ddof=1)))


def _scores_in_main_component(half: Comparisons) -> dict[str, float]:
    estimate: Estimate = estimate_scores(PairCounts.of(half))
    main: IndexArray = np.flatnonzero(estimate.component == 0)
    return {half.items[i]: float(estimate.theta[i]) for i in main}


def _correlation(first: dict[str, float], second: dict[str, float]) -> float | None:
    common = [name for name in first if name in second]
    if len(common) < _FEWEST_COMMON_ITEMS:
        return None
    x: FloatArray = np.array([first[name] for name in common])
    y: FloatArray = np.array([second[name] for name in common])
    x, y = x - x.mean(), y - y.mean()
    spread = float((x**2).sum() * (y**2).sum()) ** 0.5
    return float((x * y).sum()) / spread if spread > 10**-DECIMALS else None


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DECIMALS)
