"""Two judging sessions on one scale, through the texts that both judged.

The scores of a session are known up to a constant. Texts that were judged in both give it: the other session is moved
by the mean difference of its common texts to their scores in the base (mean-mean linking; M. J. Kolen and
R. L. Brennan 2014, *Test Equating, Scaling, and Linking*, 3rd edition, section 6.3). Logits have the same size in both
sessions where judges discriminate equally well; `spread_ratio` shows whether they do.

The linking error is the standard error of that mean: sd(differences) / sqrt(common texts) (C. Monseur and A. Berezner
2007, *Journal of Applied Measurement* 8(3), 323-335; used by PISA). It holds what judges saw in the common texts as well
as the chance of which texts are common. With fewer than three common texts it cannot be told from the differences; then,
and where it is larger, the error that the two sessions' own errors lead one to expect takes its place. It is common to
all texts of the other session: it belongs to each score, and not to differences within the session.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

from domain.bradley_terry import DECIMALS
from domain.proportions import bonferroni_limit

_FEWEST = 3


class LinkError(ValueError):
    """The sessions cannot be linked; the text says why."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A text's score and its full standard error, in logits."""

    theta: float
    se: float


@dataclass(frozen=True, slots=True)
class CommonText:
    """`displacement` is what is left of the difference once the session has been moved: base minus other."""

    item: str
    base_theta: float
    other_theta: float
    displacement: float
    displacement_se: float
    flagged: bool


@dataclass(frozen=True, slots=True)
class LinkedScore:
    """A text of the other session on the base's scale. `se` holds the linking error, too."""

    item: str
    theta: float
    se: float
    is_common: bool


@dataclass(frozen=True, slots=True)
class Link:
    """`shift` is added to the scores of the other session. `error_from` tells where `error` comes from.

    A common text is flagged beyond `flagged_beyond` errors of its displacement: with many common texts some are beyond
    two errors by chance. `spread_ratio` is sd(base) / sd(other) of the common texts, `correlation` that of their scores;
    None for fewer than three, or without any spread.
    """

    shift: float
    error: float
    error_from: str
    flagged_beyond: float
    correlation: float | None
    spread_ratio: float | None
    common: tuple[CommonText, ...]
    items: tuple[LinkedScore, ...]


def link(base: Mapping[str, Scored], other: Mapping[str, Scored]) -> Link:
    """Move the session `other` onto the scale of `base`. Raises LinkError without a common text."""
    names = sorted(base.keys() & other.keys())
    if not names:
        raise LinkError("the sessions have no text in common")
    differences = [base[name].theta - other[name].theta for name in names]
    shift = fmean(differences)
    squared = [base[name].se ** 2 + other[name].se ** 2 for name in names]
    expected = math.sqrt(sum(squared)) / len(names)
    observed = stdev(differences) / math.sqrt(len(names)) if len(names) >= _FEWEST else 0.0
    error = max(observed, expected)
    limit = bonferroni_limit(len(names))
    common = []
    for name, difference, variance in zip(names, differences, squared, strict=True):
        displacement = difference - shift
        # A text is part of the mean that it is held against.
        se = math.sqrt(max(variance * (1 - 2 / len(names)) + expected**2, 0.0))
        common.append(
            CommonText(
                name,
                base[name].theta,
                other[name].theta,
                round(displacement, DECIMALS) + 0.0,
                round(se, DECIMALS),
                len(names) >= _FEWEST and abs(displacement) > limit * se,
            )
        )
    linked = [
        LinkedScore(
            name,
            round(scored.theta + shift, DECIMALS) + 0.0,
            round(math.hypot(scored.se, error), DECIMALS),
            name in base,
        )
        for name, scored in other.items()
    ]
    return Link(
        round(shift, DECIMALS) + 0.0,
        round(error, DECIMALS),
        "differences" if observed >= expected else "standard errors",
        round(limit, DECIMALS),
        *_agreement([base[name].theta for name in names], [other[name].theta for name in names]),
        tuple(sorted(common, key=lambda text: (-abs(text.displacement), text.item))),
        tuple(sorted(linked, key=lambda score: (-score.theta, score.item))),
    )


def _agreement(base: list[float], other: list[float]) -> tuple[float | None, float | None]:
    if len(base) < _FEWEST:
        return None, None
    one, two = stdev(base), stdev(other)
    if min(one, two) < 1e-9:
        return None, None
    covariance = sum((x - fmean(base)) * (y - fmean(other)) for x, y in zip(base, other, strict=True))
    correlation = covariance / ((len(base) - 1) * one * two)
    return round(correlation, DECIMALS), round(one / two, DECIMALS)
