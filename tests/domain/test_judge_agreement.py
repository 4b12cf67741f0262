"""Agreement of judges on the pairs they share."""

from __future__ import annotations

import numpy as np

from domain.comparison_graph import Comparisons
from domain.judge_agreement import Rate, judge_agreement


def _comparisons(*rows: tuple[str, str, str]) -> Comparisons:
    return Comparisons.from_names(*zip(*rows, strict=True))


def test_two_judges_agree_on_one_of_two_shared_pairs() -> None:
    agreement = judge_agreement(
        _comparisons(
            ("teacher-0001", "a", "b"),
            ("model-x", "a", "b"),
            ("teacher-0001", "c", "b"),
            ("model-x", "b", "c"),
            ("teacher-0001", "a", "c"),
        )
    )
    assert agreement.overall == Rate(2, 1.0, 0.5, 0.0)
    (pair,) = agreement.judge_pairs
    assert (pair.first, pair.second, pair.agreement) == ("model-x", "teacher-0001", agreement.overall)
    assert [judge.agreement for judge in agreement.judges] == [agreement.overall, agreement.overall]


def test_a_judge_of_two_minds_half_agrees() -> None:
    agreement = judge_agreement(_comparisons(("x", "a", "b"), ("x", "b", "a"), ("y", "a", "b")))
    assert agreement.overall == Rate(1, 0.5, 0.5, 0.0)


def test_complete_disagreement_has_kappa_minus_one() -> None:
    agreement = judge_agreement(_comparisons(("x", "a", "b"), ("y", "b", "a")))
    assert agreement.overall == Rate(1, 0.0, 0.0, -1.0)


def test_judges_who_share_nothing_have_no_rate() -> None:
    agreement = judge_agreement(_comparisons(("x", "a", "b"), ("y", "b", "c")))
    assert agreement.overall == Rate(0, 0.0, None, None)
    assert agreement.judge_pairs == ()


def test_an_item_against_itself_is_no_shared_pair() -> None:
    agreement = judge_agreement(_comparisons(("x", "a", "a"), ("y", "a", "a")))
    assert agreement.overall.shared_pairs == 0


def test_the_figures_for_each_and_for_all_add_up_from_those_for_two() -> None:
    generator = np.random.RandomState(5)
    drawn = [(generator.randint(5), *generator.choice(6, 2, replace=False)) for _ in range(300)]
    rows = [(f"teacher-{judge}", f"essay-{won}", f"essay-{lost}") for judge, won, lost in drawn]
    agreement = judge_agreement(_comparisons(*rows))
    assert len(agreement.judge_pairs) == 10
    assert agreement.overall.shared_pairs == sum(p.agreement.shared_pairs for p in agreement.judge_pairs)
    for judge in agreement.judges:
        with_judge = [p.agreement for p in agreement.judge_pairs if judge.judge in (p.first, p.second)]
        assert judge.agreement.shared_pairs == sum(rate.shared_pairs for rate in with_judge)
        assert np.isclose(judge.agreement.agreements, sum(rate.agreements for rate in with_judge))


def test_the_table_of_two_each_is_bounded_and_the_rest_is_not() -> None:
    rows = [(f"teacher-{n:03d}", "a", "b") for n in range(50)] + [("teacher-049", "b", "c")]
    agreement = judge_agreement(_comparisons(*rows), most_judges=3)
    assert {p.first for p in agreement.judge_pairs} | {p.second for p in agreement.judge_pairs} == {
        "teacher-000",
        "teacher-001",
        "teacher-049",
    }
    assert len(agreement.judges) == 50
    assert agreement.overall == Rate(50 * 49 // 2, 50 * 49 / 2, 1.0, 1.0)
