"""A plan is connected, balanced and without repeats, whatever its size; limits and earlier scores count."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.comparison_graph import Comparisons, PairCounts, connected_components
from domain.judging_plan import PlanError, PlannedPair, plan_judging, progress
from tests.support.examples import examples


def _texts(n: int) -> list[str]:
    return [f"essay-{k:03d}" for k in range(n)]


@settings(max_examples=examples(60))
@given(
    n=st.integers(3, 40),
    per_item=st.integers(2, 12),
    judges=st.integers(1, 7),
    scored=st.booleans(),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    seed=st.integers(0, 99),
)
def test_a_plan_is_connected_balanced_and_without_repeats(
    n: int, per_item: int, judges: int, scored: bool, share: float, seed: int
) -> None:
    per_item = min(per_item, n - 1)
    names = _texts(n)
    scores = {name: float(k * k % 17) for k, name in enumerate(names)} if scored else None
    teachers = [f"teacher-{k}" for k in range(judges)]
    plan = plan_judging(names, teachers, per_item, scores=scores, random_share=share, seed=seed)

    assert max(Counter(frozenset((pair.first, pair.second)) for pair in plan).values()) == 1
    times = Counter(name for pair in plan for name in (pair.first, pair.second))
    assert set(times) == set(names)
    extra = sorted(times[name] - per_item for name in names)
    assert extra == [0] * (n - 1) + [n * per_item % 2]
    first = Counter(pair.first for pair in plan)
    assert all(abs(2 * first[name] - times[name]) <= 2 for name in names)
    load = Counter(pair.judge for pair in plan)
    assert max(load[name] for name in teachers) - min(load[name] for name in teachers) <= 1
    session = Comparisons.from_names(
        [pair.judge for pair in plan], [pair.first for pair in plan], [pair.second for pair in plan]
    )
    assert connected_components(PairCounts.of(session)).max() == 0


def test_limits_of_judges_hold_and_too_small_ones_are_refused() -> None:
    plan = plan_judging(_texts(10), ["a", "b"], 4, limits={"a": 5})
    assert Counter(pair.judge for pair in plan) == {"a": 5, "b": 15}
    with pytest.raises(PlanError, match="20 comparisons are planned, and the judges together may make 10"):
        plan_judging(_texts(10), ["a", "b"], 4, limits={"a": 5, "b": 5})


def test_with_earlier_scores_most_pairs_are_near_and_a_share_is_random() -> None:
    names = _texts(60)
    scores = {name: float(k) for k, name in enumerate(names)}
    plan = plan_judging(names, ["a"], 10, scores=scores)
    assert sum(pair.at_random for pair in plan) / len(plan) == pytest.approx(0.2)
    assert max(abs(scores[p.first] - scores[p.second]) for p in plan if not p.at_random) <= 8


@pytest.mark.parametrize(
    ("texts", "per_item", "reason"),
    [
        (["a", "a"], 1, "given twice"),
        (["a"], 1, "two texts"),
        (_texts(5), 5, "1 to 4 times"),
        (_texts(5), 1, "2 or more"),
    ],
)
def test_an_impossible_plan_is_refused_with_the_reason(texts: list[str], per_item: int, reason: str) -> None:
    with pytest.raises(PlanError, match=reason):
        plan_judging(texts, ["teacher-0007"], per_item)


def test_progress_counts_planned_pairs_in_either_order_and_others_apart() -> None:
    plan = [PlannedPair("a", "e1", "e2", True), PlannedPair("a", "e3", "e4", True)]
    [a, b] = progress(plan, [("a", "e2", "e1"), ("a", "e2", "e1"), ("b", "e3", "e4")])
    assert (a.planned, a.decided, a.left, a.outside) == (2, 1, 1, 1)
    assert (b.planned, b.decided, b.left, b.outside) == (0, 0, 0, 1)
