"""Were pairs chosen by the scores so far? Measured, because what follows for SSR depends on it.

Pairs of near-equal texts give more information, so rules that choose pairs by the scores so far (Swiss rounds,
adaptive comparative judgement, our own list of next pairs) let judged pairs be nearer than pairs at random.
Such pairing inflates SSR, up to 0.9 and more for random decisions (T. Bramley and S. Vitello 2019, *Assessment in
Education* 26(1), 43-58). Two ratios are reported, each of the mean distance of judged pairs to that of all pairs:

- by the scores at the time of each decision (`domain.forward_test`), which the decision itself did not move. Where
  pairs are drawn at random it is 1; the test is of its numerator, with the variance that random pairs would have.
- by the final scores.

A session counts as adaptive when the first ratio is below `LIMIT` and the test below -`Z`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.bradley_terry import DECIMALS, Estimate
from domain.comparison_graph import Comparisons
from domain.forward_test import Foresight, gaps_of_all_pairs

LIMIT = 0.85
Z = 3.3


@dataclass(frozen=True, slots=True)
class Adaptivity:
    """`ratio_at_the_time` and `ratio_by_final_scores`: 1 for random pairs; None where it cannot be told."""

    ratio_at_the_time: float | None
    z: float | None
    ratio_by_final_scores: float | None
    adaptive: bool | None


def adaptivity(comparisons: Comparisons, estimate: Estimate, foresight: Foresight) -> Adaptivity:
    """How near judged pairs were, compared with all pairs."""
    final = None
    if estimate.n_components == 1 and len(estimate.theta) > 2:
        gaps = np.abs(estimate.theta[comparisons.chosen] - estimate.theta[comparisons.not_chosen])
        usual, _ = gaps_of_all_pairs(estimate.theta)
        final = round(float(gaps.mean()) / usual, DECIMALS) if usual > 1e-9 else None
    known = ~np.isnan(foresight.difference) & ~np.isnan(foresight.usual_gap)
    expected = float(foresight.usual_gap[known].sum())
    variance = float(foresight.gap_variance[known].sum())
    if expected <= 1e-9 or variance <= 1e-12:
        return Adaptivity(None, None, final, None)
    found = float(np.abs(foresight.difference[known]).sum())
    ratio, z = found / expected, (found - expected) / variance**0.5
    return Adaptivity(round(ratio, DECIMALS), round(z, DECIMALS), final, adaptive=ratio < LIMIT and z < -Z)
