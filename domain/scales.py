"""Scores on scales that people use, and grade boundaries from anchors: both are functions of theta.

- *Linear*: a + b theta, so that the texts have a given mean and standard deviation (n - 1), or the lowest and the
  highest text have given values. Errors are multiplied by b. Nothing is added to what theta says.
- *True score*: the share of comparisons that a text is expected to win against every other text of its component once,
  times 100 (F. M. Lord 1980, *Applications of Item Response Theory*, chapter 4, for the expected score as a function of
  theta; the model is that of Bradley and Terry). It lies between 0 and 100 whatever the spread, and is not linear in theta.
- *Grade boundaries*: anchors are texts whose grades are known. A boundary lies half way between the mean theta of the
  anchors of two neighbouring grades (the contrasting-groups method: M. J. Zieky and S. A. Livingston 1977, *Manual for
  Setting Standards*). Its standard error comes from the whole covariance matrix, (c' L+ c)^(1/2) with c the weights of
  the anchors in it. Where the means of the anchors are not in the order of the grades there is no boundary between
  those. A boundary may also be set at the score of a chosen text.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import DECIMALS, Estimate
from domain.comparison_graph import FloatArray, IndexArray
from domain.laplacian import Laplacian
from domain.outcome_model import win_probability

_PLACES = 6


class ScaleError(ValueError):
    """There is no such scale; the text says why."""


@dataclass(frozen=True, slots=True)
class Linear:
    """`intercept + slope * theta`."""

    intercept: float
    slope: float

    def of(self, theta: float) -> float:
        """Theta on the scale, to `_PLACES`: its ends are ends although theta is rounded."""
        return round(self.intercept + self.slope * theta, _PLACES) + 0.0


@dataclass(frozen=True, slots=True)
class Boundary:
    """Between grade `below` and grade `above`, in logits; None where the anchors are not in this order."""

    below: str
    above: str
    theta: float | None
    se: float | None


def with_mean_and_spread(theta: FloatArray, mean: float, spread: float) -> Linear:
    """The scale on which `theta` has this mean and standard deviation. Raises ScaleError for equal scores."""
    sd = float(theta.std(ddof=1)) if len(theta) > 1 else 0.0
    if sd < 1e-9:
        raise ScaleError("all texts have the same score, so a spread cannot be given to them")
    slope = spread / sd
    return Linear(mean - slope * float(theta.mean()), slope)


def with_ends(theta: FloatArray, lowest: float, highest: float) -> Linear:
    """The scale on which the lowest and the highest `theta` have these values. Raises ScaleError."""
    width = float(np.ptp(theta))
    if width < 1e-9:
        raise ScaleError("all texts have the same score, so ends cannot be given to them")
    slope = (highest - lowest) / width
    return Linear(lowest - slope * float(theta.min()), slope)


def true_scores(estimate: Estimate) -> FloatArray:
    """0 to 100 for each item; 50 for an item that is alone in its component."""
    found = np.full(estimate.counts.n_items, 50.0)
    for component in range(estimate.n_components):
        members = np.flatnonzero(estimate.component == component)
        if len(members) > 1:
            theta = estimate.theta[members]
            found[members] = [
                100 * (float(win_probability(own - theta).sum()) - 0.5) / (len(members) - 1) for own in theta
            ]
    return found


def boundaries(
    names: Sequence[str], estimate: Estimate, grades: Mapping[str, str], order: Sequence[str]
) -> tuple[Boundary, ...]:
    """Boundaries between neighbours of `order` (the lowest grade first), from `grades` of anchors by name.

    Raises ScaleError where an anchor or grade is not there, or anchors are in different components.
    """
    place = {name: k for k, name in enumerate(names)}
    if unknown := [name for name in grades if name not in place]:
        raise ScaleError(f"the anchor {unknown[0]!r} is not among the texts")
    if strange := [grade for grade in grades.values() if grade not in order]:
        raise ScaleError(f"the grade {strange[0]!r} is not in the order of grades {', '.join(order)}")
    anchors = {
        grade: np.array([place[name] for name, own in grades.items() if own == grade], dtype=np.intp)
        for grade in order
    }
    known = [grade for grade in order if len(anchors[grade])]
    if len(known) < 2:
        raise ScaleError("boundaries need anchors of two grades or more")
    if len({int(estimate.component[place[name]]) for name in grades}) > 1:
        raise ScaleError("no decision connects the anchors, so there is no common scale")
    found = []
    for below, above in itertools.pairwise(known):
        low, high = anchors[below], anchors[above]
        if float(estimate.theta[low].mean()) >= float(estimate.theta[high].mean()):
            found.append(Boundary(below, above, None, None))
            continue
        middle = (float(estimate.theta[low].mean()) + float(estimate.theta[high].mean())) / 2
        found.append(
            Boundary(below, above, round(middle, DECIMALS), round(_error(estimate, low, high), DECIMALS))
        )
    return tuple(found)


def grade_of(theta: float, found: Sequence[Boundary]) -> str | None:
    """The grade of a score: that above the highest boundary below it; None where a boundary is not known."""
    if any(boundary.theta is None for boundary in found):
        return None
    grade = found[0].below
    for boundary in found:
        if boundary.theta is not None and theta >= boundary.theta:
            grade = boundary.above
    return grade


def _error(estimate: Estimate, low: IndexArray, high: IndexArray) -> float:
    component = int(estimate.component[low[0]])
    members, part = estimate.counts.split(estimate.component)[component]
    weights = np.zeros(estimate.counts.n_items)
    weights[low] += 0.5 / len(low)
    weights[high] += 0.5 / len(high)
    own = weights[members]
    own -= own.mean()
    variance = part.judged * estimate.moments(members[part.low], members[part.high]).variance
    solved = Laplacian(len(members), part.low, part.high, variance).solve(own)
    return math.sqrt(max(float(own @ solved), 0.0))
