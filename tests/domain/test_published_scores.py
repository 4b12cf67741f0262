"""Our scores beside published ones: correlations, opposite pairs and texts outside the error, by other computations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from domain.bradley_terry import METHOD_VERSION, estimate_scores, score, scores_of
from domain.comparison_graph import PairCounts
from domain.findings import find
from domain.published_scores import published_comparison
from domain.score_equations import EPSILON
from tests.support.judging_sessions import random_session


def test_agreement_with_published_scores_is_what_scipy_computes() -> None:
    session = random_session(items=25, decisions=300, seed=11)
    estimate = estimate_scores(PairCounts.of(session))
    scores = scores_of(session, estimate)
    errors = find(session, estimate, scores).items
    ours = {item.item: item.theta for item in scores.items}
    generator = np.random.RandomState(5)
    published = {name: theta + generator.normal(0, 1) for name, theta in ours.items()}
    order = sorted(published, key=lambda name: -published[name])
    ranks = {name: place for place, name in enumerate(order, start=1)}
    del ranks[order[3]]  # upstream left one out

    found = published_comparison(ours, ranks, published, errors)

    assert found is not None
    names = sorted(ranks)
    x, y = [ours[name] for name in names], [published[name] for name in names]
    assert found.items == 24
    assert found.score_correlation == pytest.approx(stats.pearsonr(x, y)[0])
    assert found.rank_correlation == pytest.approx(stats.spearmanr(x, [-ranks[name] for name in names])[0])
    tau = stats.kendalltau(x, y)[0]
    assert found.opposite_pairs / found.pairs == pytest.approx((1 - tau) / 2)
    worst = found.disagreements[0]
    assert abs(worst.difference) == max(abs(each.difference) for each in found.disagreements)
    assert found.beyond_error >= sum(each.beyond_error for each in found.disagreements)


def test_equal_scores_agree_with_themselves_and_nothing_is_compared_without_a_common_text() -> None:
    session = random_session(items=8, decisions=80)
    estimate = estimate_scores(PairCounts.of(session))
    scores = scores_of(session, estimate)
    errors = find(session, estimate, scores).items
    ours = {item.item: item.theta for item in scores.items}
    same = published_comparison(ours, {each.item: each.rank for each in errors}, ours, errors)
    assert same is not None
    assert (same.opposite_pairs, same.beyond_error, same.disagreements) == (0, 0, ())
    assert same.score_correlation == pytest.approx(1)
    assert published_comparison(ours, {"another": 1}, {"another": 0.0}, errors) is None


def test_scores_with_a_normal_prior_are_the_mode_of_the_posterior() -> None:
    session = random_session(items=6, decisions=40, seed=2)
    counts = PairCounts.of(session)

    def minus_log_posterior(theta: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        gap = theta[session.chosen] - theta[session.not_chosen]
        return float(np.log1p(np.exp(-gap)).sum() + (theta**2).sum() / 2 / 0.7**2)

    by_scipy = optimize.minimize(minus_log_posterior, np.zeros(6), tol=1e-12).x
    found = estimate_scores(counts, prior_sd=0.7)
    assert found.theta == pytest.approx(by_scipy - by_scipy.mean(), abs=1e-4)
    assert scores_of(session, found).method_version == METHOD_VERSION.replace(
        f"eps{EPSILON}", "normal-prior-sd0.7"
    )
    wide = np.ptp(estimate_scores(counts, prior_sd=50).theta)
    assert np.ptp(found.theta) < np.ptp([item.theta for item in score(session).items]) < wide
