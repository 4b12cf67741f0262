"""Bradley-Terry scores of comparative judgement, with the errors and fit statistics the field reports.

The model: item i is chosen over item j with probability 1 / (1 + exp(theta_j - theta_i)) (R. A. Bradley and
M. E. Terry 1952, *Biometrika* 39(3/4), 324-345). Estimates agree with ``btm`` of the R package sirt
(A. Robitzsch, *sirt: Supplementary Item Response Theory Models*) with its default adjustment eps = 0.3;
`domain.score_equations` has the equations and how they are solved. Reported are

- se_i = 1 / sqrt(I_i), from the diagonal of the information matrix, with I_i = sum p (1 - p);
- fit, from the squared residual of a decision, (1 - p)^2 with p the probability of what was chosen, and its
  variance v = p (1 - p): outfit = mean of (1 - p)^2 / v, infit = sum of (1 - p)^2 / sum of v, over the
  decisions of an item or of a judge. About 1 is as expected, more is more erratic, less is more predictable
  (B. D. Wright and G. N. Masters 1982, *Rating Scale Analysis*; for comparative judgement A. Pollitt 2012,
  *Assessment in Education* 19(3), 281-300);
- scale separation reliability SSR = 1 - mean(se^2) / var(theta), variance with n - 1, and separation
  G = sd(theta) / sqrt(mean(se^2)), so that G^2 = 1 / (1 - SSR). SSR is below 1 and can be negative.

Where the comparisons fall into groups that no decision connects, each group has a scale of its own: theta
has mean 0 in each, reliability is given for each, and none is given for the whole.

Numbers are rounded to `DECIMALS`: the last bits of an exponential differ between processors, and the same
decisions must give the same bytes everywhere. They do not depend on the order of the decisions at all, and
on the names of the items only through the order in which floating-point sums are taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from domain.comparison_graph import (
    Comparisons,
    FloatArray,
    IndexArray,
    PairCounts,
    connected_components,
    sums_by,
)
from domain.notices import Kind, Notice, sentence
from domain.outcome_model import Moments, moments
from domain.score_equations import EPSILON, Solution, solve
from domain.shrunken_scores import shrunken_scores
from domain.wording import Count, Names

METHOD_VERSION = f"bradley-terry-eps{EPSILON}/3"
"""Changes whenever the same decisions would give other numbers."""

DECIMALS = 10
_WIDEST_DIFFERENCE = 300.0
"""Logits. Fit statistics take wider ones for this, so that the square of a probability is not 0."""
_NO_SPREAD = 1e-18
"""Variances of theta below this are rounding: all items are equal."""
_EQUAL = 1e-9
"""Logits. Scores that differ by less are the same: solved to other last bits."""


@dataclass(frozen=True, slots=True)
class ItemScore:
    """One item. `theta` and `se` in logits; `component` counts from 0, the largest group first.

    `wins` is whole unless comparisons were undecided: each gives half a win.
    """

    item: str
    theta: float
    se: float
    infit: float
    outfit: float
    comparisons: int
    wins: float
    component: int


@dataclass(frozen=True, slots=True)
class JudgeFit:
    """One judge: how well the decisions fit the scores that all judges made together."""

    judge: str
    decisions: int
    infit: float
    outfit: float


@dataclass(frozen=True, slots=True)
class Component:
    """Items connected by comparisons, best first, and the reliability of their scale.

    `ssr` is None for one item, or where all are equal. `balanced` says that the usual scores are not
    bounded by the decisions here, and that the reference scores of `domain.score_equations` have a share in them. `tie_parameter` is nu of `domain.outcome_model`, 0 without undecided comparisons.
    """

    items: tuple[str, ...]
    decisions: int
    ssr: float | None
    separation_g: float | None
    balanced: bool
    tie_parameter: float = 0.0


@dataclass(frozen=True, slots=True)
class JudgingScores:
    """What a judging session says: items by component, then theta downwards, then name; judges by name.

    `ssr` and `separation_g` are None when there is more than one component.
    """

    items: tuple[ItemScore, ...]
    judges: tuple[JudgeFit, ...]
    ssr: float | None
    separation_g: float | None
    components: tuple[Component, ...]
    decisions: int
    notices: tuple[Notice, ...]
    method_version: str = METHOD_VERSION

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the scores alone give cause to warn of (`domain.findings` has the rest)."""
        return tuple(sentence(notice) for notice in self.notices)


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """Scores as arrays over the items of a `PairCounts`, for statistics built on them (not rounded)."""

    counts: PairCounts
    theta: FloatArray
    information: FloatArray
    component: IndexArray
    balanced: tuple[bool, ...]
    tie_parameters: tuple[float, ...]
    epsilon: float = EPSILON
    prior_sd: float | None = None

    def moments(self, one: IndexArray, other: IndexArray) -> Moments:
        """What comparisons of the items `one` with the items `other` are expected to give."""
        difference = self.theta[one] - self.theta[other]
        np.clip(difference, -_WIDEST_DIFFERENCE, _WIDEST_DIFFERENCE, out=difference)
        if len(set(self.tie_parameters)) == 1:
            return moments(difference, self.tie_parameters[0])
        columns = [np.empty(len(difference)) for _ in range(4)]
        component = self.component[one]
        for k, nu in enumerate(self.tie_parameters):
            rows = np.flatnonzero(component == k)
            at = moments(difference[rows], nu)
            for column, values in zip(
                columns, (at.expected, at.expected_other, at.variance, at.skew), strict=True
            ):
                column[rows] = values
        return Moments(*columns)

    @property
    def n_components(self) -> int:
        return len(self.balanced)

    def separation_of(self, members: IndexArray | slice = slice(None)) -> tuple[float | None, float | None]:
        """(SSR, G) of items of one component, by default all items (then check `n_components`)."""
        theta, error = self.theta[members], 1 / self.information[members]
        if len(theta) < 2:
            return None, None
        variance, mean_error = float(theta.var(ddof=1)), float(error.mean())
        if variance < _NO_SPREAD:
            return None, 0.0
        return 1 - mean_error / variance, (variance / mean_error) ** 0.5

    def separation(self) -> tuple[float | None, float | None]:
        """(SSR, G) of the whole; (None, None) when it is not connected."""
        return self.separation_of() if self.n_components == 1 else (None, None)


def score_decisions(judges: Sequence[str], chosen: Sequence[str], not_chosen: Sequence[str]) -> JudgingScores:
    """Scores from parallel columns of names, one entry per decision. Raises JudgingDataError."""
    return score(Comparisons.from_names(judges, chosen, not_chosen))


def score(comparisons: Comparisons) -> JudgingScores:
    """Scores, errors, fit and reliability of `comparisons`."""
    return scores_of(comparisons, estimate_scores(PairCounts.of(comparisons)))


def scores_of(comparisons: Comparisons, estimate: Estimate) -> JudgingScores:
    """What `score` returns, from the `estimate` of the same comparisons."""
    items = _item_scores(comparisons, estimate)
    components = _components(estimate, items)
    ssr, separation_g = estimate.separation()
    return JudgingScores(
        items=items,
        judges=_judge_fits(comparisons, estimate),
        ssr=_rounded(ssr),
        separation_g=_rounded(separation_g),
        components=components,
        decisions=len(comparisons),
        notices=_notices(comparisons, estimate.counts, components),
        method_version=METHOD_VERSION.replace(
            f"eps{EPSILON}",
            f"eps{estimate.epsilon:g}"
            if estimate.prior_sd is None
            else f"normal-prior-sd{estimate.prior_sd:g}",
        ),
    )


def estimate_scores(
    counts: PairCounts, epsilon: float = EPSILON, *, prior_sd: float | None = None
) -> Estimate:
    """Theta and information of every item, each connected component on its own scale with mean 0.

    With `prior_sd` (logits) the adjustment by epsilon gives way to a normal prior of that spread: theta is the mode of
    the posterior (`domain.shrunken_scores`), the information is that of the decisions alone.
    """
    component = connected_components(counts)
    theta, information = np.zeros(counts.n_items), np.zeros(counts.n_items)
    balanced, tie_parameters = [], []
    for members, part in counts.split(component):
        solution = solve(part, epsilon) if prior_sd is None else _with_prior(part, prior_sd)
        theta[members], information[members] = solution.theta, solution.information
        balanced.append(solution.usual < 1)
        tie_parameters.append(solution.tie_parameter)
    return Estimate(
        counts, theta, information, component, tuple(balanced), tuple(tie_parameters), epsilon, prior_sd
    )


def _with_prior(part: PairCounts, prior_sd: float) -> Solution:
    theta = shrunken_scores(
        part.n_items,
        part.low,
        part.high,
        part.judged,
        part.low_wins + part.pair_ties / 2,
        start=np.zeros(part.n_items),
        tolerance=_EQUAL,
        prior_sd=prior_sd,
    )
    theta = theta - theta.mean()
    at = moments(theta[part.low] - theta[part.high], 0.0)
    gained = part.judged * at.variance
    return Solution(theta, part.per_item(gained, gained) + part.self_comparisons / 2, 0.0, 1.0, 0.0)


def ranked(items: Sequence[ItemScore]) -> Iterator[tuple[ItemScore, int]]:
    """Yield each item with its rank in its component, from 1; equal scores share the better rank."""
    component, place, rank = -1, 0, 0
    before: float | None = None
    for item in items:
        if item.component != component:
            component, place, before = item.component, 0, None
        place += 1
        if before is None or before - item.theta > _EQUAL:
            rank, before = place, item.theta
        yield item, rank


def _item_scores(comparisons: Comparisons, estimate: Estimate) -> tuple[ItemScore, ...]:
    counts = estimate.counts
    at = estimate.moments(counts.low, counts.high)
    squared = counts.low_wins * at.expected_other**2 + counts.high_wins * at.expected**2
    if counts.ties is not None:
        squared += counts.ties * (at.expected - at.expected_other) ** 2 / 4
    standardised = squared / at.variance
    compared = counts.comparisons_per_item()
    # Against itself p = 1/2: a squared residual of 1/4, standardised 1, on each of the two sides.
    itself = 2 * counts.self_comparisons
    infit = (counts.per_item(squared, squared) + itself / 4) / estimate.information
    outfit = (counts.per_item(standardised, standardised) + itself) / compared
    columns = zip(
        comparisons.items,
        estimate.theta.tolist(),
        (estimate.information**-0.5).tolist(),
        infit.tolist(),
        outfit.tolist(),
        compared.tolist(),
        counts.wins_per_item().tolist(),
        estimate.component.tolist(),
        strict=True,
    )
    scores = [
        ItemScore(
            item=name,
            theta=round(theta, DECIMALS) + 0.0,  # never -0.0
            se=round(se, DECIMALS),
            infit=round(inner, DECIMALS),
            outfit=round(outer, DECIMALS),
            comparisons=int(n),
            wins=won if won % 1 else int(won),
            component=component,
        )
        for name, theta, se, inner, outer, n, won, component in columns
    ]
    return tuple(sorted(scores, key=lambda score: (score.component, -score.theta, score.item)))


def _judge_fits(comparisons: Comparisons, estimate: Estimate) -> tuple[JudgeFit, ...]:
    ordered = comparisons.in_canonical_order()  # sums then do not depend on the order of the decisions
    n_judges = len(ordered.judges)
    at = estimate.moments(ordered.chosen, ordered.not_chosen)
    squared = at.expected_other**2
    if ordered.tied is not None:
        squared = np.where(ordered.tied, (at.expected - at.expected_other) ** 2 / 4, squared)
    decisions = np.bincount(ordered.judge, minlength=n_judges)
    infit = sums_by(ordered.judge, squared, n_judges) / sums_by(ordered.judge, at.variance, n_judges)
    outfit = sums_by(ordered.judge, squared / at.variance, n_judges) / decisions
    columns = (decisions.tolist(), infit.tolist(), outfit.tolist())
    return tuple(
        JudgeFit(name, n, round(inner, DECIMALS), round(outer, DECIMALS))
        for name, n, inner, outer in zip(ordered.judges, *columns, strict=True)
    )


def _components(estimate: Estimate, items: tuple[ItemScore, ...]) -> tuple[Component, ...]:
    counts, n = estimate.counts, estimate.n_components
    decisions = sums_by(estimate.component[counts.low], counts.judged, n) + sums_by(
        estimate.component, counts.self_comparisons, n
    )
    names: list[list[str]] = [[] for _ in range(n)]
    for scored in items:
        names[scored.component].append(scored.item)
    components = []
    for (members, _), item_names, decided, balanced, nu in zip(
        counts.split(estimate.component),
        names,
        decisions.tolist(),
        estimate.balanced,
        estimate.tie_parameters,
        strict=True,
    ):
        ssr, separation_g = map(_rounded, estimate.separation_of(members))
        components.append(
            Component(tuple(item_names), int(decided), ssr, separation_g, balanced, round(nu, DECIMALS))
        )
    return tuple(components)


def _notices(
    comparisons: Comparisons, counts: PairCounts, components: tuple[Component, ...]
) -> tuple[Notice, ...]:
    found = []
    if itself := int(counts.self_comparisons.sum()):
        names = Names(comparisons.items[i] for i in np.flatnonzero(counts.self_comparisons).tolist())
        found.append(Notice(Kind.ITSELF, {"itself": Count(itself), "names": names}))
    if len(components) > 1:
        found.append(Notice(Kind.GROUPS, {"n": Count(len(components))}))
    if any(component.balanced for component in components):
        found.append(Notice(Kind.BALANCED, {}))
    return tuple(found)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DECIMALS)
