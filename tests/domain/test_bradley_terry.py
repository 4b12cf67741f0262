"""Scores of small sessions whose answer can be written down, and of those where solvers go wrong."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize

from domain.bradley_terry import METHOD_VERSION, JudgingScores, score_decisions
from domain.comparison_graph import JudgingDataError
from tests.support.naive_scores import Decision, sums


def _decided(*pairs: tuple[str, str], judge: str = "teacher-0001") -> list[Decision]:
    return [Decision(judge, chosen, not_chosen) for chosen, not_chosen in pairs]


def _scores(decisions: Sequence[Decision]) -> JudgingScores:
    return score_decisions(*zip(*decisions, strict=True))


def _theta(scores: JudgingScores) -> dict[str, float]:
    return {item.item: item.theta for item in scores.items}


def _all_numbers(scores: JudgingScores) -> Iterable[float]:
    for item in scores.items:
        yield from (item.theta, item.se, item.infit, item.outfit)
    for judge in scores.judges:
        yield from (judge.infit, judge.outfit)


def test_one_decision_puts_the_items_a_finite_distance_apart() -> None:
    scores = _scores(_decided(("a", "b")))
    # S* = eps + (1 - 2 eps) = 0.7, so p = 0.7.
    assert _theta(scores) == pytest.approx({"a": math.log(0.7 / 0.3) / 2, "b": -math.log(0.7 / 0.3) / 2})
    assert scores.items[0].se == pytest.approx(0.21**-0.5)
    assert (scores.items[0].comparisons, scores.items[0].wins) == (1, 1)
    assert (scores.items[1].comparisons, scores.items[1].wins) == (1, 0)


def test_fit_is_the_squared_residual_against_its_variance() -> None:
    scores = _scores(_decided(("a", "b"), ("a", "b"), ("a", "b"), ("b", "a")))
    p = 1 / (1 + math.exp(scores.items[1].theta - scores.items[0].theta))
    v = p * (1 - p)
    squared = (3 * (1 - p) ** 2 + p**2) / 4
    for item in scores.items:
        assert item.infit == pytest.approx(squared / v)
        assert item.outfit == pytest.approx((3 * (1 - p) / p + p / (1 - p)) / 4)
    assert scores.judges[0].infit == pytest.approx(squared / v)
    assert scores.judges[0].decisions == 4


def test_reliability_follows_from_scores_and_errors() -> None:
    scores = _scores(_decided(*[("a", "b"), ("b", "c"), ("a", "c"), ("c", "a")] * 5))
    theta = np.array([item.theta for item in scores.items])
    mean_error = np.mean([item.se**2 for item in scores.items])
    assert scores.ssr == pytest.approx(1 - mean_error / theta.var(ddof=1))
    assert scores.separation_g == pytest.approx(theta.std(ddof=1) / mean_error**0.5)
    assert scores.components[0].ssr == scores.ssr


def test_equal_items_have_no_reliability_to_speak_of() -> None:
    scores = _scores(_decided(("a", "b"), ("b", "a")))
    assert scores.ssr is None
    assert scores.separation_g == 0.0
    assert _theta(scores) == {"a": 0.0, "b": 0.0}


def test_the_surplus_is_spread_over_all_items_and_not_loaded_on_one() -> None:
    # A hub that beat each of twelve items ten times: M differs, so the adjusted scores do not add up to D.
    decisions = _decided(*[("hub", f"essay-{n:02d}") for n in range(12)] * 10)
    scores = _scores(decisions)
    residuals = sums(decisions, _theta(scores)).residuals(len(decisions))
    assert max(map(abs, residuals.values())) < 1e-8
    assert sum(_theta(scores).values()) == pytest.approx(0, abs=1e-8)
    assert len({item.theta for item in scores.items if item.item != "hub"}) == 1


def test_items_that_won_or_lost_everything_are_finite() -> None:
    decisions = _decided(*[("best", "a"), ("best", "b"), ("a", "b"), ("b", "a"), ("a", "last")] * 100)
    scores = _scores(decisions)
    assert all(map(math.isfinite, _all_numbers(scores)))
    assert max(map(abs, sums(decisions, _theta(scores)).residuals(len(decisions)).values())) < 1e-7


def test_groups_that_hardly_ever_beat_each_other_are_solved_to_the_end() -> None:
    within = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")] * 60
    decisions = _decided(*within, *[("a", "c"), ("b", "d"), ("a", "d"), ("b", "c")] * 100, ("c", "a"))
    scores = _scores(decisions)
    assert max(map(abs, sums(decisions, _theta(scores)).residuals(len(decisions)).values())) < 1e-7
    assert not scores.components[0].balanced


@pytest.mark.parametrize("repeats", [1, 2, 7])
def test_where_all_decisions_went_one_way_each_text_also_meets_an_imaginary_one(repeats: int) -> None:
    pairs = [("a", "b"), ("c", "b"), *[("c", "d")] * repeats]
    scores = _scores(_decided(*pairs))
    assert scores.components[0].balanced
    assert "each text as compared with one imaginary text" in scores.warnings[0]

    def loss(theta: NDArray[np.float64]) -> float:
        place = dict(zip("abcd", theta, strict=True))
        met = sum(np.logaddexp(0, place[lost] - place[won]) for won, lost in pairs)
        return float(met + 0.3 * (np.logaddexp(0, theta) + np.logaddexp(0, -theta)).sum())

    best = optimize.minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    found = _theta(scores)
    assert [found[name] for name in "abcd"] == pytest.approx(list(best - best.mean()), abs=1e-5)


def test_a_chain_in_which_each_item_met_only_its_neighbours_is_solved() -> None:
    names = [f"essay-{n:04d}" for n in range(900)]  # many enough for the sparse solver
    decisions = _decided(*[pair for pair in itertools.pairwise(names) for _ in range(8)])
    scores = _scores(decisions)
    assert [item.item for item in scores.items] == names
    theta = _theta(scores)
    assert theta[names[0]] - theta[names[1]] == pytest.approx(math.log(7.7 / 0.3))
    assert max(map(abs, sums(decisions, theta).residuals(len(decisions)).values())) < 1e-7


def test_a_single_decision_across_a_long_ladder_is_no_obstacle() -> None:
    # Neighbours 4 logits apart, and one decision between the ends: a wide gap, held by what is between.
    names = [f"essay-{n:02d}" for n in range(21)]
    ladder = [(a, b) for a, b in itertools.pairwise(names) for _ in range(50)]
    upsets = [(b, a) for a, b in itertools.pairwise(names)]
    decisions = _decided(*ladder, *upsets, (names[0], names[-1]))
    scores = _scores(decisions)
    theta = _theta(scores)
    assert theta[names[0]] - theta[names[-1]] > 60
    assert not scores.components[0].balanced
    assert max(map(abs, sums(decisions, theta).residuals(len(decisions)).values())) < 1e-7


@pytest.mark.parametrize("upset", [False, True])
def test_a_decision_too_far_apart_for_floating_point_still_has_a_finite_fit(upset: bool) -> None:
    names = [f"essay-{n:03d}" for n in range(200)]
    ladder = _decided(*[pair for pair in itertools.pairwise(names) for _ in range(300)])
    ends = (names[-1], names[0]) if upset else (names[0], names[-1])
    scores = _scores([*ladder, *_decided(ends, judge="teacher-0002")])
    assert scores.items[0].theta - scores.items[-1].theta > 600
    assert all(map(math.isfinite, _all_numbers(scores)))
    assert (scores.judges[1].outfit > 1) is upset


def test_an_item_against_itself_counts_on_both_sides_with_a_warning() -> None:
    decisions = _decided(("a", "b"), ("a", "a"), ("b", "c"), ("c", "a"))
    scores = _scores(decisions)
    by_name = {item.item: item for item in scores.items}
    assert (by_name["a"].comparisons, by_name["a"].wins) == (4, 2)
    naive = sums(decisions, _theta(scores))
    assert max(map(abs, naive.residuals(len(decisions)).values())) < 1e-8
    for name, item in by_name.items():
        assert item.se == pytest.approx(naive.information[name] ** -0.5)
        assert item.infit == pytest.approx(naive.infit[name])
        assert item.outfit == pytest.approx(naive.outfit[name])
    assert scores.warnings == (
        "1 decision compares a text with itself (a); each such decision counts as two comparisons and one win of that text.",
    )
    assert scores.judges[0].decisions == 4


def test_an_item_that_only_met_itself_is_a_group_of_its_own() -> None:
    scores = _scores(_decided(("a", "b"), ("c", "c")))
    assert [component.items for component in scores.components] == [("a", "b"), ("c",)]
    alone = scores.items[-1]
    assert (alone.item, alone.theta, alone.comparisons, alone.wins) == ("c", 0.0, 2, 1)
    assert alone.se == pytest.approx(2**0.5)
    assert (scores.components[1].ssr, scores.components[1].separation_g) == (None, None)


def test_groups_without_a_link_have_scales_of_their_own_and_no_common_reliability() -> None:
    large = [("a", "b"), ("b", "c"), ("a", "c")] * 4
    small = [("x", "y")] * 3
    scores = _scores(_decided(*small, *large))
    assert [component.items for component in scores.components] == [("a", "b", "c"), ("x", "y")]
    assert [component.decisions for component in scores.components] == [12, 3]
    assert (scores.ssr, scores.separation_g) == (None, None)
    alone = _scores(_decided(*large))
    assert scores.components[0].ssr == alone.ssr
    assert scores.items[:3] == alone.items
    assert "2 groups" in scores.warnings[0]


def test_equal_rows_are_separate_decisions() -> None:
    scores = _scores(_decided(("a", "b"), ("a", "b"), ("b", "a")))
    assert (scores.items[0].comparisons, scores.items[0].wins) == (3, 2)


def test_the_order_of_the_decisions_changes_no_bit() -> None:
    generator = np.random.RandomState(7)
    names = [f"essay-{n:02d}" for n in range(15)]
    decisions = [
        Decision(f"teacher-{generator.randint(4)}", *generator.choice(names, 2, replace=False).tolist())
        for _ in range(300)
    ]
    shuffled = [decisions[i] for i in generator.permutation(len(decisions))]
    assert _scores(decisions) == _scores(shuffled)


def test_many_items_and_few_items_take_the_same_answer_from_both_solvers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.RandomState(11)
    decisions = [
        Decision("teacher-0001", *(f"essay-{n:02d}" for n in generator.choice(40, 2, replace=False)))
        for _ in range(400)
    ]
    dense = _scores(decisions)
    monkeypatch.setattr("domain.score_equations._DENSE_UP_TO", 1)
    sparse = _scores(decisions)
    assert [item.item for item in sparse.items] == [item.item for item in dense.items]
    assert list(_all_numbers(sparse)) == pytest.approx(list(_all_numbers(dense)), abs=1e-8)


def test_the_answer_names_its_method() -> None:
    assert _scores(_decided(("a", "b"))).method_version == METHOD_VERSION


@pytest.mark.parametrize(
    ("judges", "chosen", "not_chosen", "fault"),
    [
        ([], [], [], "no decisions"),
        (["t"], ["a", "b"], ["c", "d"], "same length"),
        (["t"], [""], ["a"], "empty"),
        ([""], ["a"], ["b"], "empty"),
    ],
)
def test_what_is_no_decision_is_refused(
    judges: list[str], chosen: list[str], not_chosen: list[str], fault: str
) -> None:
    with pytest.raises(JudgingDataError, match=fault):
        score_decisions(judges, chosen, not_chosen)
