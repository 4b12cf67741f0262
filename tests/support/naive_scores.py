"""The published formulas written down decision by decision, to hold the vectorised code against."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

EPSILON = 0.3


class Decision(NamedTuple):
    """One row of a judging session."""

    judge: str
    chosen: str
    not_chosen: str


class Sums(NamedTuple):
    """Per item, at given scores: both sides of the score equations, and the fit statistics."""

    adjusted: dict[str, float]
    expected: dict[str, float]
    information: dict[str, float]
    infit: dict[str, float]
    outfit: dict[str, float]

    def residuals(self, decisions: int) -> dict[str, float]:
        """S* - E - c I, with c such that they add up to 0."""
        surplus = (sum(self.adjusted.values()) - decisions) / sum(self.information.values())
        return {i: s - self.expected[i] - surplus * self.information[i] for i, s in self.adjusted.items()}


def sums(decisions: Iterable[Decision], theta: Mapping[str, float]) -> Sums:
    """An item judged against itself is on both sides of that decision, like any other."""
    compared: Counter[str] = Counter()
    won: Counter[str] = Counter()
    expected: defaultdict[str, float] = defaultdict(float)
    information: defaultdict[str, float] = defaultdict(float)
    squared: defaultdict[str, float] = defaultdict(float)
    standardised: defaultdict[str, float] = defaultdict(float)
    for decision in decisions:
        p = 1 / (1 + math.exp(theta[decision.not_chosen] - theta[decision.chosen]))
        won[decision.chosen] += 1
        for item, chance in ((decision.chosen, p), (decision.not_chosen, 1 - p)):
            compared[item] += 1
            expected[item] += chance
            information[item] += p * (1 - p)
            squared[item] += (1 - p) ** 2
            standardised[item] += (1 - p) / p  # (1 - p)^2 / (p (1 - p)), also where p is 1 in floats
    return Sums(
        adjusted={i: EPSILON + (m - 2 * EPSILON) / m * won[i] for i, m in compared.items()},
        expected=dict(expected),
        information=dict(information),
        infit={i: squared[i] / information[i] for i in compared},
        outfit={i: standardised[i] / m for i, m in compared.items()},
    )
