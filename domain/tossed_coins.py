"""How much likelier are the decisions from judges who see a difference than from tossed coins?

The Bayes factor of two models: coins, and the model of Bradley and Terry with normal scores of standard deviation
`SPREAD`, the least that sessions of texts usually have,

    B = integral of L(theta) N(theta; 0, SPREAD^2) d theta / 2^-decisions.

The rule that chose the pairs knew no more than the decisions before, so its part is the same in both likelihoods and
cancels: adaptive pairs cannot flatter B (J. O. Berger and R. L. Wolpert 1988, *The Likelihood Principle*, section 4).
Under coins the expected B is 1, whatever the rule; from judges with this spread at most one session in k has B < 1/k.

With `ENOUGH` comparisons per text a session should show this spread, and coins are named unless B says otherwise:
below `WORTH_A_MENTION` (R. E. Kass and A. E. Raftery 1995, *Journal of the American Statistical Association* 90(430),
773-795: a smaller factor is "not worth more than a bare mention"). With fewer no evidence is to be expected, and coins
are named only where they are the likelier ones, B below 1. No other statistic of the same decisions separates the two
better (J. Neyman and E. S. Pearson 1933, *Philosophical Transactions of the Royal Society A* 231, 289-337): B is the
likelihood ratio.

The integral is Laplace's approximation at the mode with the largest term of the next order, that of the fourth
derivatives (Z. Shun and P. McCullagh 1995, *Journal of the Royal Statistical Society B* 57(4), 749-760): without it
120 texts of four comparisons each would count 2 nats too few.
"""

from __future__ import annotations

import math

import numpy as np

from domain.comparison_graph import PairCounts
from domain.outcome_model import win_probability
from domain.shrunken_scores import shrunken_scores

SPREAD = 1.0
"""Logits."""
MOST_ITEMS = 1_500
"""Of more texts B is not computed: the matrices would be large."""
WORTH_A_MENTION = 3.0
ENOUGH = 10
"""Comparisons per text. With as many of more than `MOST_ITEMS` texts, the forward test does not miss the spread."""


def speak_for_coins(counts: PairCounts) -> bool:
    """Whether decisions that the forward test could not predict were made by tossed coins, as far as they tell."""
    enough = 2 * float((counts.low_wins + counts.high_wins).sum()) >= ENOUGH * counts.n_items
    evidence = log_bayes_factor(counts)
    if evidence is None:
        return enough
    return evidence < (math.log(WORTH_A_MENTION) if enough else 0)


def log_bayes_factor(counts: PairCounts) -> float | None:
    """log B in nats, ties left out; above 0 for judges who see a difference. None with more than `MOST_ITEMS`."""
    n = counts.n_items
    if n > MOST_ITEMS:
        return None
    judged = counts.low_wins + counts.high_wins
    decided = judged > 0
    low, high, judged = counts.low[decided], counts.high[decided], judged[decided]
    low_wins, high_wins = counts.low_wins[decided], counts.high_wins[decided]
    theta = shrunken_scores(
        n, low, high, judged, low_wins, start=np.zeros(n), tolerance=1e-6, prior_sd=SPREAD
    )
    gap = theta[low] - theta[high]
    p = win_probability(gap)
    variance = p * (1 - p)
    information = np.diag(np.full(n, SPREAD**-2))
    for one, other, sign in ((low, low, 1), (high, high, 1), (low, high, -1), (high, low, -1)):
        np.add.at(information, (one, other), sign * judged * variance)
    covariance = np.linalg.inv(information)
    of_gap = covariance[low, low] + covariance[high, high] - 2 * covariance[low, high]
    fourth = judged * variance * (1 - 6 * variance)
    log_likelihood = -float((low_wins * np.logaddexp(0, -gap) + high_wins * np.logaddexp(0, gap)).sum())
    log_prior = -float((theta**2).sum()) / (2 * SPREAD**2) - n * math.log(SPREAD)
    return (
        log_likelihood
        + log_prior
        - float(np.linalg.slogdet(information)[1]) / 2
        - float((fourth * of_gap**2).sum()) / 8
        + float(judged.sum()) * math.log(2)
    )
