"""Shares of yes and no with their intervals and tests, exact where it matters.

Intervals are those of E. B. Wilson (1927, *Journal of the American Statistical Association* 22(158), 209-212),
which keep within 0 and 1 and hold for small numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

Z_95 = 1.959963984540054
DECIMALS = 10


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `n`; `share` and its 95 % interval are None when n is 0."""

    hits: float
    n: int
    share: float | None
    lower: float | None
    upper: float | None


def share_of(hits: float, n: int) -> Share:
    """The share with its 95 % interval."""
    if not n:
        return Share(hits, 0, None, None, None)
    share, z2 = hits / n, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    lower, upper = max(middle - half, 0.0), min(middle + half, 1.0)
    return Share(hits, n, round(share, DECIMALS), round(lower, DECIMALS), round(upper, DECIMALS))


def two_sided(hits: int, n: int) -> float:
    """The p value of the two-sided sign test: as far from n / 2 as `hits`, or further."""
    return min(1.0, 2 * _tail(max(hits, n - hits), n))


def bonferroni_limit(n: int) -> float:
    """The standard errors within which, by chance, all of `n` differences lie in 95 % of cases (Bonferroni's limit)."""
    return NormalDist().inv_cdf(1 - 0.025 / n)


def _tail(hits: int, n: int) -> float:
    if hits <= 0:
        return 1.0
    if n > 10_000:  # the normal distribution with a correction for continuity is as good there
        return math.erfc((hits - 0.5 - n / 2) / math.sqrt(n / 4) / math.sqrt(2)) / 2
    k = range(hits, n + 1)
    logs = np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in k])
    return float(min(1.0, np.exp(logs - n * math.log(2)).sum()))
