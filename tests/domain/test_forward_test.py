"""Predicting each decision from those before it: coin tosses cannot pass, real sessions do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from domain.adaptivity import Adaptivity, adaptivity
from domain.bradley_terry import estimate_scores, scores_of
from domain.comparison_graph import Comparisons, PairCounts
from domain.findings import find
from domain.forward_test import ForwardTest, foresee, forward_test, gaps_of_all_pairs
from domain.notices import Kind, sentence
from domain.proportions import share_of, two_sided
from tests.support.judging_sessions import REAL_SESSIONS, Design, real_session, simulated


def _checked(comparisons: Comparisons) -> tuple[ForwardTest, Adaptivity]:
    estimate, foresight = estimate_scores(PairCounts.of(comparisons)), foresee(comparisons)
    return forward_test(comparisons, estimate, foresight), adaptivity(comparisons, estimate, foresight)


@pytest.mark.parametrize("design", list(Design))
@pytest.mark.parametrize(("items", "decisions"), [(12, 80), (30, 300), (60, 500)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tossed_coins_are_no_better_than_chance_however_pairs_were_chosen(
    design: Design, items: int, decisions: int, seed: int
) -> None:
    test, _ = _checked(simulated(design, items=items, decisions=decisions, spread=0, seed=seed))
    assert test.better_than_chance is False
    assert test.promised_share is not None
    assert test.promised_share > 0.55  # what the final scores promise is not kept


@pytest.mark.parametrize("items", [20, 60])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_few_swiss_rounds_cannot_tell_honest_judges_from_coins(items: int, seed: int) -> None:
    """Four comparisons per text, nearly all of near-equal texts: little evidence for either."""
    session = simulated(Design.SWISS, items=items, decisions=2 * items, spread=2, seed=seed)
    estimate = estimate_scores(PairCounts.of(session))
    assert forward_test(session, estimate, foresee(session)).better_than_chance is None
    notices = find(session, estimate, scores_of(session, estimate)).notices
    [told] = [each for each in notices if each.kind is Kind.CANNOT_TELL]
    assert "too little evidence to tell the judges from tossed coins" in sentence(told)


@pytest.mark.parametrize("design", list(Design))
@pytest.mark.parametrize("seed", [1, 2])
def test_judges_who_see_a_difference_are_better_than_chance(design: Design, seed: int) -> None:
    test, _ = _checked(simulated(design, items=30, decisions=300, spread=2, seed=seed))
    assert test.better_than_chance is True


@pytest.mark.parametrize("name", REAL_SESSIONS)
def test_real_sessions_are_better_than_chance(name: str) -> None:
    test, _ = _checked(real_session(name))
    assert test.better_than_chance is True
    assert test.log_score is not None
    assert test.log_score > -math.log(2)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_only_sessions_whose_pairs_followed_the_scores_count_as_adaptive(seed: int, spread: float) -> None:
    found = {
        design: _checked(simulated(design, items=30, decisions=300, spread=spread, seed=seed))[1].adaptive
        for design in (Design.RANDOM, Design.SWISS, Design.OUR_LIST)
    }
    assert found == {Design.RANDOM: False, Design.SWISS: True, Design.OUR_LIST: True}


def test_a_prediction_knows_nothing_of_its_own_decision_and_of_later_ones() -> None:
    session = simulated(Design.RANDOM, items=15, decisions=90, spread=2, seed=5)
    turned = session.chosen.copy(), session.not_chosen.copy()
    turned[0][60:], turned[1][60:] = session.not_chosen[60:], session.chosen[60:]
    other = Comparisons(session.items, session.judges, session.judge, *turned)
    before, after = foresee(session).difference, foresee(other).difference
    assert np.allclose(before[:60], after[:60], equal_nan=True)
    assert before[60] == pytest.approx(-after[60])


def test_few_decisions_cannot_tell() -> None:
    test, _ = _checked(simulated(Design.RANDOM, items=8, decisions=20, spread=2, seed=1))
    assert test.better_than_chance is None
    single, adaptive = _checked(Comparisons.from_names(["t"], ["a"], ["b"]))
    assert (single.correct.n, single.better_than_chance, adaptive.adaptive) == (0, None, None)


def test_where_nothing_could_be_predicted_the_notice_counts_nothing() -> None:
    session = Comparisons.from_names(["t"], ["a"], ["b"])
    estimate = estimate_scores(PairCounts.of(session))
    notices = find(session, estimate, scores_of(session, estimate)).notices
    [told] = [each for each in notices if each.kind in {Kind.CANNOT_TELL, Kind.NOTHING_PREDICTED}]
    assert "No decision could be predicted" in sentence(told)


def test_undecided_comparisons_are_not_predicted() -> None:
    session = Comparisons.from_names(
        ["t"] * 60, ["a", "b"] * 30, ["b", "c"] * 30, tied=[False] * 40 + [True] * 20
    )
    assert _checked(session)[0].correct.n <= 40


def test_the_mean_gap_of_all_pairs_is_that_of_all_pairs() -> None:
    theta = np.random.RandomState(1).normal(0, 2, 9)
    gaps = [abs(a - b) for k, a in enumerate(theta) for b in theta[k + 1 :]]
    assert gaps_of_all_pairs(theta) == pytest.approx((np.mean(gaps), np.var(gaps)))


def test_shares_have_wilsons_interval_and_exact_tests() -> None:
    # Wilson's interval for 8 of 10, as R's prop.test(8, 10, correct = FALSE) gives it.
    share = share_of(8, 10)
    assert (share.lower, share.upper) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert two_sided(8, 10) == pytest.approx(2 * 56 / 1024)
    assert two_sided(5, 10) == 1.0
    assert two_sided(5_200, 10_000) == pytest.approx(two_sided(5_201, 10_002), rel=0.05)
    assert share_of(0, 0).share is None
