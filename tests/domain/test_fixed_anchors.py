"""Scores with anchors held at given values, against the maximum found by another solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from domain.bradley_terry import Estimate, estimate_scores
from domain.comparison_graph import Comparisons, PairCounts
from domain.fixed_anchors import AnchoredScore, AnchorValuesError, anchored_scores
from domain.score_equations import balanced_scores
from tests.support.judging_sessions import random_session

SESSION = random_session(items=12, decisions=200)
ESTIMATE = estimate_scores(PairCounts.of(SESSION))
NAMES = SESSION.items
FIXED = {NAMES[0]: 2.0, NAMES[5]: 0.5, NAMES[9]: 3.0}


def _theta(found: tuple[AnchoredScore, ...]) -> dict[str, float]:
    return {score.item: score.theta for score in found}


def _by_general_solver(estimate: Estimate, names: tuple[str, ...], fixed: dict[str, float]) -> np.ndarray:
    counts = estimate.counts
    wins = balanced_scores(counts)
    free = [k for k, name in enumerate(names) if name not in fixed]
    theta = np.array([fixed.get(name, 0.0) for name in names])

    def loss(values: np.ndarray) -> float:
        theta[free] = values
        pairs = np.logaddexp(theta[counts.low], theta[counts.high])
        return float((counts.judged * pairs).sum() - (wins * theta).sum())

    theta[free] = minimize(loss, np.full(len(free), np.mean(list(fixed.values()))), tol=1e-12).x
    return theta


def test_free_scores_are_the_most_likely_ones_given_the_anchors() -> None:
    found = _theta(anchored_scores(NAMES, ESTIMATE, FIXED).texts)

    expected = _by_general_solver(ESTIMATE, NAMES, FIXED)
    assert [found[name] for name in NAMES] == pytest.approx(list(expected), abs=2e-4)
    assert {name: found[name] for name in FIXED} == FIXED


def test_errors_come_from_the_information_about_the_free_texts() -> None:
    found = {score.item: score for score in anchored_scores(NAMES, ESTIMATE, FIXED).texts}

    counts = ESTIMATE.counts
    theta = np.array([found[name].theta for name in NAMES])
    p = 1 / (1 + np.exp(theta[counts.high] - theta[counts.low]))
    information = np.zeros((len(NAMES), len(NAMES)))
    for i, j, weight in zip(counts.low, counts.high, counts.judged * p * (1 - p), strict=True):
        information[[i, j], [i, j]] += weight
        information[[i, j], [j, i]] -= weight
    free = [k for k, name in enumerate(NAMES) if name not in FIXED]
    errors = np.sqrt(np.diag(np.linalg.inv(information[np.ix_(free, free)])))
    assert [found[NAMES[k]].se for k in free] == pytest.approx(list(errors))
    assert all(found[name].se is None for name in FIXED)


def test_one_anchor_only_moves_the_scale() -> None:
    one = _theta(anchored_scores(NAMES, ESTIMATE, {NAMES[0]: 0.0}).texts)
    moved = _theta(anchored_scores(NAMES, ESTIMATE, {NAMES[0]: 10.0}).texts)

    assert [moved[name] - one[name] for name in NAMES] == pytest.approx([10.0] * len(NAMES))


def test_an_anchor_that_the_decisions_contradict_is_flagged_and_one_they_agree_with_is_not() -> None:
    own = dict(zip(NAMES, ESTIMATE.theta.tolist(), strict=True))
    values = {name: own[name] for name in NAMES[:6]}
    agreeing = anchored_scores(NAMES, ESTIMATE, values).texts
    assert not any(score.flagged for score in agreeing)

    found = anchored_scores(NAMES, ESTIMATE, values | {NAMES[0]: own[NAMES[0]] + 4.0}).texts

    [flagged] = [score for score in found if score.flagged and score.item == NAMES[0]]
    assert flagged.displacement is not None
    assert flagged.displacement < -1.0


def test_all_fixed_keeps_all_values() -> None:
    values = dict.fromkeys(NAMES, 1.0)

    assert _theta(anchored_scores(NAMES, ESTIMATE, values).texts) == values


def test_undecided_comparisons_count_half_for_either_side() -> None:
    comparisons = Comparisons.from_names(
        ["judge-1"] * 4, ["a", "b", "a", "b"], ["b", "c", "b", "c"], tied=[True, True, False, False]
    )
    estimate = estimate_scores(PairCounts.of(comparisons))

    found = _theta(anchored_scores(comparisons.items, estimate, {"b": 0.0}).texts)

    assert found["b"] == 0.0
    assert found["a"] == pytest.approx(-found["c"])
    assert found["a"] > 0


def test_a_text_that_lost_everything_has_a_finite_score() -> None:
    comparisons = Comparisons.from_names(["judge-1"] * 3, ["a", "b", "c"], ["b", "c", "d"])
    estimate = estimate_scores(PairCounts.of(comparisons))

    found = _theta(anchored_scores(comparisons.items, estimate, {"a": 0.0}).texts)

    assert 0 > found["b"] > found["c"] > found["d"] > -10


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "no anchor with a value"),
        ({"nobody": 1.0}, "'nobody' is not among the texts"),
        ({"a": 0.0}, "no decision connects the text 'c' with an anchor"),
    ],
)
def test_what_cannot_be_held_is_named(values: dict[str, float], sentence: str) -> None:
    comparisons = Comparisons.from_names(["judge-1"] * 3, ["a", "c", "a"], ["b", "d", "b"])
    estimate = estimate_scores(PairCounts.of(comparisons))

    with pytest.raises(AnchorValuesError, match=sentence):
        anchored_scores(comparisons.items, estimate, values)


def test_a_large_session_is_solved_without_a_dense_matrix() -> None:
    session = random_session(items=1_000, decisions=12_000)
    estimate = estimate_scores(PairCounts.of(session))
    own = dict(zip(session.items, estimate.theta.tolist(), strict=True))
    fixed = {name: own[name] + 5.0 for name in session.items[:20]}

    found = anchored_scores(session.items, estimate, fixed).texts

    moved = np.array([score.theta - own[score.item] for score in found if not score.is_fixed])
    assert abs(float(moved.mean()) - 5.0) < 0.2
    assert all(score.se is not None and 0 < score.se < 3 for score in found if not score.is_fixed)
