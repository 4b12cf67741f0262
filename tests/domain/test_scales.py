"""Scales and grade boundaries, against the same computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from domain.bradley_terry import estimate_scores
from domain.comparison_graph import PairCounts
from domain.scales import (
    ScaleError,
    boundaries,
    grade_of,
    true_scores,
    with_ends,
    with_mean_and_spread,
)
from tests.support.judging_sessions import random_session

SESSION = random_session(items=12, decisions=200)
ESTIMATE = estimate_scores(PairCounts.of(SESSION))
ORDER = np.argsort(ESTIMATE.theta)
NAMES = [SESSION.items[k] for k in ORDER]


def test_a_linear_scale_has_the_mean_and_spread_or_the_ends_asked_for() -> None:
    scale = with_mean_and_spread(ESTIMATE.theta, 500, 100)
    values = [scale.of(theta) for theta in ESTIMATE.theta]
    assert np.mean(values) == pytest.approx(500)
    assert np.std(values, ddof=1) == pytest.approx(100)
    ends = with_ends(ESTIMATE.theta, 0, 100)
    assert sorted(map(ends.of, ESTIMATE.theta))[:: len(NAMES) - 1] == pytest.approx([0, 100])
    with pytest.raises(ScaleError, match="same score"):
        with_ends(np.zeros(3), 0, 100)


def test_the_true_score_is_the_share_of_wins_expected_against_every_other_text() -> None:
    theta = ESTIMATE.theta
    by_hand = [
        100 * np.mean([1 / (1 + np.exp(other - own)) for j, other in enumerate(theta) if j != i])
        for i, own in enumerate(theta)
    ]
    assert true_scores(ESTIMATE) == pytest.approx(by_hand)


def test_boundaries_lie_between_the_anchors_with_the_error_of_the_whole_covariance() -> None:
    grades = {NAMES[0]: "F", NAMES[2]: "F", NAMES[6]: "C", NAMES[10]: "A", NAMES[11]: "A"}
    found = boundaries(SESSION.items, ESTIMATE, grades, ["F", "E", "C", "A"])
    assert [(each.below, each.above) for each in found] == [("F", "C"), ("C", "A")]
    theta = np.sort(ESTIMATE.theta)
    assert found[0].theta == pytest.approx(((theta[0] + theta[2]) / 2 + theta[6]) / 2)

    counts = ESTIMATE.counts
    n = counts.n_items
    p = 1 / (1 + np.exp(ESTIMATE.theta[counts.high] - ESTIMATE.theta[counts.low]))
    information = np.zeros((n, n))
    for i, j, weight in zip(counts.low, counts.high, counts.judged * p * (1 - p), strict=True):
        information[i, i] += weight
        information[j, j] += weight
        information[i, j] -= weight
        information[j, i] -= weight
    c = np.zeros(n)
    c[ORDER[[0, 2]]], c[ORDER[6]] = 0.25, 0.5
    assert found[0].se == pytest.approx(float(c @ np.linalg.pinv(information) @ c) ** 0.5)
    assert [grade_of(theta[k], found) for k in (0, 6, 11)] == ["F", "C", "A"]


def test_anchors_against_the_order_of_grades_give_no_boundary() -> None:
    found = boundaries(SESSION.items, ESTIMATE, {NAMES[0]: "A", NAMES[11]: "F"}, ["F", "A"])
    assert (found[0].theta, found[0].se) == (None, None)
    assert grade_of(0.0, found) is None


@pytest.mark.parametrize(
    ("grades", "reason"),
    [
        ({"nobody": "A", NAMES[0]: "F"}, "'nobody' is not among"),
        ({NAMES[0]: "B"}, "not in the order"),
        ({NAMES[0]: "A"}, "two grades"),
    ],
)
def test_anchors_that_cannot_serve_are_refused(grades: dict[str, str], reason: str) -> None:
    with pytest.raises(ScaleError, match=reason):
        boundaries(SESSION.items, ESTIMATE, grades, ["F", "A"])
