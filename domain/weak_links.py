"""Bridges and near-bridges: where two sets of texts hang together by so little that the ranking could turn round.

Two kinds are looked for in each connected component.

- *Pairs that carry a link almost alone.* The leverage of a pair, its information w times the variance of its
  difference, is 1 exactly for a bridge of the graph (removing it disconnects two sets) and near 1 where the detours
  around it carry next to nothing. From `LEVERAGE` on, the two sets are those on either side of it: each item
  belongs to the side whose end has the nearer potential when a current flows through the pair (P. G. Doyle and
  J. L. Snell 1984, *Random Walks and Electric Networks*).
- *Small cuts of several pairs.* The second eigenvector of the normalised Laplacian orders the items; among the
  cuts along that order the one with the smallest conductance is taken (J. Cheeger's inequality for graphs; F. R. K.
  Chung 1997, *Spectral Graph Theory*). It is reported when moving one side against the other has a standard error
  above `SHIFT_SE` logits, 1 / sqrt(information across), and a conductance below `CONDUCTANCE`; then both sides are
  searched in turn.

A set of one text is no weak link: how often it was judged tells that already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import DECIMALS, Estimate
from domain.comparison_graph import (
    FloatArray,
    IndexArray,
    PairCounts,
    TruthArray,
    connected_components,
    sums_by,
)
from domain.laplacian import Laplacian
from domain.uncertainty import ComponentCovariance

LEVERAGE = 0.9
SHIFT_SE = 1.0
CONDUCTANCE = 0.1
MOST = 10
_MOST_PAIRS = 10
_MOST_CANDIDATES = 40
_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class WeakLink:
    """Two sets of texts and what joins them. `pairs` are those judged across, at most ten.

    `one_side` is the smaller set, `other_side` the larger, both by name. `shift_se` is the standard error in
    logits of moving one side against the other; `bridge` says that without `pairs` nothing joins them.
    """

    one_side: tuple[str, ...]
    other_side: tuple[str, ...]
    decisions: int
    pairs: tuple[tuple[str, str], ...]
    shift_se: float
    bridge: bool


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A weak link as positions of items in the whole, the smaller side first."""

    one: IndexArray
    other: IndexArray


def weak_cuts(estimate: Estimate, parts: Sequence[ComponentCovariance]) -> tuple[Cut, ...]:
    """The weak links of all components, the one with the largest error first, at most `MOST`."""
    cuts: dict[tuple[int, ...], tuple[float, Cut]] = {}
    for covariance, (members, part) in zip(parts, estimate.counts.split(estimate.component), strict=True):
        if len(members) < 4:
            continue
        for inside in [*_around_pairs(covariance), *_small_cuts(part, covariance)]:
            one, other = members[inside.one], members[inside.other]
            information = _across(part, covariance.laplacian.weights, inside)[0]
            cuts.setdefault(tuple(one.tolist()), (information, Cut(one, other)))
    ordered = sorted(cuts.items(), key=lambda found: (round(found[1][0], DECIMALS), found[0]))
    return tuple(cut for _, (_, cut) in ordered[:MOST])


def weak_links(names: Sequence[str], estimate: Estimate, cuts: Sequence[Cut]) -> tuple[WeakLink, ...]:
    """The cuts with names, and with what joins their sides."""
    counts = estimate.counts
    weights = counts.judged * estimate.moments(counts.low, counts.high).variance
    found = []
    for cut in cuts:
        information, across = _across(counts, weights, cut)
        pairs = [
            (names[i], names[j])
            for i, j in zip(counts.low[across].tolist(), counts.high[across].tolist(), strict=True)
        ]
        found.append(
            WeakLink(
                one_side=tuple(names[i] for i in cut.one.tolist()),
                other_side=tuple(names[i] for i in cut.other.tolist()),
                decisions=int(counts.judged[across].sum()),
                pairs=tuple(pairs[:_MOST_PAIRS]),
                shift_se=round(information**-0.5, DECIMALS),
                bridge=len(pairs) == 1,
            )
        )
    return tuple(found)


def _across(counts: PairCounts, weights: FloatArray, cut: Cut) -> tuple[float, IndexArray]:
    side = np.zeros(counts.n_items, dtype=np.int8)
    side[cut.one], side[cut.other] = 1, 2
    across = np.flatnonzero(side[counts.low] + side[counts.high] == 3)
    across = across[side[counts.low[across]] != side[counts.high[across]]]
    return max(float(weights[across].sum()), 1e-12), across


def _around_pairs(covariance: ComponentCovariance) -> list[Cut]:
    laplacian = covariance.laplacian
    if laplacian.is_dense:
        variance = covariance.variances_of_differences(laplacian.low, laplacian.high)
        leverage = laplacian.weights * variance
    else:
        # An upper bound that is cheap: no pair of a well-judged text carries much alone.
        share_low = laplacian.weights / laplacian.diagonal[laplacian.low]
        share_high = laplacian.weights / laplacian.diagonal[laplacian.high]
        likely = np.flatnonzero(np.maximum(share_low, share_high) > 0.02)
        leverage = np.zeros(len(laplacian.low))
        variance = covariance.variances_of_differences(laplacian.low[likely], laplacian.high[likely])
        leverage[likely] = laplacian.weights[likely] * variance * 1.5  # the draws' error, to be safe
    found = []
    for pair in np.flatnonzero(leverage > LEVERAGE)[:_MOST_CANDIDATES].tolist():
        i, j = int(laplacian.low[pair]), int(laplacian.high[pair])
        current = np.zeros(laplacian.n)
        current[i], current[j] = 1.0, -1.0
        potential = laplacian.solve(current)
        if laplacian.weights[pair] * (potential[i] - potential[j]) <= LEVERAGE:
            continue
        cut = _sides(potential > (potential[i] + potential[j]) / 2)
        if cut is not None:
            found.append(cut)
    return found


def _small_cuts(part: PairCounts, covariance: ComponentCovariance) -> list[Cut]:
    """Cuts along the second eigenvector; where one is weak, both of its sides are searched, too."""
    found: list[Cut] = []
    waiting = [(np.arange(part.n_items), part, covariance.laplacian)]
    while waiting and len(found) < MOST:
        members, inside, laplacian = waiting.pop()
        cut = _best_cut(laplacian)
        if cut is None:
            continue
        found.append(Cut(members[cut.one], members[cut.other]))
        for side in (cut.one, cut.other):
            waiting += _connected_parts(members, inside, laplacian.weights, side)
    return found


def _connected_parts(
    members: IndexArray, counts: PairCounts, weights: FloatArray, side: IndexArray
) -> list[tuple[IndexArray, PairCounts, Laplacian]]:
    within = np.zeros(counts.n_items, dtype=np.bool_)
    within[side] = True
    kept = within[counts.low] & within[counts.high]
    label = connected_components(counts.only_pairs(kept))
    parts = []
    for k in np.unique(label[side]).tolist():
        own = np.flatnonzero(label == k)
        if len(own) < 4:
            continue
        place = np.full(counts.n_items, -1)
        place[own] = np.arange(len(own))
        pairs = np.flatnonzero(kept & (label[counts.low] == k))
        inside = PairCounts(
            n_items=len(own),
            low=place[counts.low[pairs]],
            high=place[counts.high[pairs]],
            low_wins=counts.low_wins[pairs],
            high_wins=counts.high_wins[pairs],
            self_comparisons=np.zeros(len(own)),
            ties=None if counts.ties is None else counts.ties[pairs],
        )
        parts.append((members[own], inside, Laplacian(len(own), inside.low, inside.high, weights[pairs])))
    return parts


def _best_cut(laplacian: Laplacian) -> Cut | None:
    order = np.argsort(_second_eigenvector(laplacian), kind="stable")
    place = np.empty(laplacian.n, dtype=np.intp)
    place[order] = np.arange(laplacian.n)
    ends = place[laplacian.low], place[laplacian.high]
    first, last = np.minimum(*ends), np.maximum(*ends)
    opened = sums_by(first, laplacian.weights, laplacian.n) - sums_by(last, laplacian.weights, laplacian.n)
    across = np.cumsum(opened)[1:-2]  # at least two items on each side
    volume = np.cumsum(laplacian.diagonal[order])
    smaller = np.minimum(volume, volume[-1] - volume)[1:-2]
    if not len(across):
        return None
    conductance = across / smaller
    best = int(np.argmin(conductance))
    if conductance[best] >= CONDUCTANCE or across[best] >= SHIFT_SE**-2:
        return None
    in_first = np.zeros(laplacian.n, dtype=np.bool_)
    in_first[order[: best + 2]] = True
    return _sides(in_first)


def _second_eigenvector(laplacian: Laplacian) -> FloatArray:
    """Of the normalised Laplacian, divided by the roots of the degrees; by inverse iteration, nearly.

    Where a cut is weak its eigenvalue is far below the others, and few rounds are enough.
    """
    if laplacian.is_dense:
        laplacian.inverse()  # computed once, for all rounds
    root = np.sqrt(laplacian.diagonal)
    vector = np.cos(np.arange(laplacian.n) + 1.0)
    constant = root / np.linalg.norm(root)
    for _ in range(_ROUNDS if laplacian.is_dense else 3):
        right = root * vector
        moved = root * laplacian.solve(right - right.mean())
        moved -= constant * float(constant @ moved)
        moved /= max(float(np.linalg.norm(moved)), 1e-300)
        if np.abs(moved - vector).max() < 1e-9:
            break
        vector = moved
    found: FloatArray = vector / root
    return found


def _sides(first: TruthArray) -> Cut | None:
    """The cut, None where a side has fewer than two items."""
    one, other = np.flatnonzero(first), np.flatnonzero(~first)
    if (len(one), one.tolist()) > (len(other), other.tolist()):
        one, other = other, one
    return Cut(one, other) if len(one) >= 2 else None
