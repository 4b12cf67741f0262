"""The pairs whose judgement would reduce the errors most."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from domain.bradley_terry import Estimate, estimate_scores
from domain.comparison_graph import Comparisons, PairCounts
from domain.next_pairs import Reason, next_pairs
from domain.uncertainty import covariances
from domain.weak_links import weak_cuts
from tests.support.judging_sessions import field_case, random_session


def _session(decisions: int) -> Comparisons:
    generator = np.random.RandomState(2)
    rows = [generator.choice(12, 2, replace=False) for _ in range(decisions)]
    chosen, not_chosen = ([f"essay-{n:02d}" for n in column] for column in zip(*rows, strict=True))
    return Comparisons.from_names(["teacher-0001"] * decisions, chosen, not_chosen)


def _reduction(estimate: Estimate, i: int, j: int) -> float:
    p = 1 / (1 + np.exp(estimate.theta[j] - estimate.theta[i]))
    gained = p * (1 - p)
    before = 1 / estimate.information[[i, j]]
    after = 1 / (estimate.information[[i, j]] + gained)
    return float((before - after).sum())


def test_the_ranking_is_that_of_all_pairs_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.next_pairs._CELLS_AT_ONCE", 30)  # several blocks of rows
    comparisons = _session(60)
    estimate = estimate_scores(PairCounts.of(comparisons))
    expected = sorted(
        ((_reduction(estimate, i, j), i, j) for i, j in itertools.combinations(range(12), 2)),
        key=lambda pair: -pair[0],
    )[:20]
    found = next_pairs(comparisons.items, estimate, random_share=0)
    assert [(pair.first, pair.second) for pair in found] == [
        (comparisons.items[i], comparisons.items[j]) for _, i, j in expected
    ]
    assert [pair.expected_reduction for pair in found] == pytest.approx([gain for gain, _, _ in expected])


def test_equal_pairs_come_in_the_order_of_names() -> None:
    names = [f"essay-{n:02d}" for n in range(8)]
    both_ways = list(itertools.permutations(names, 2))
    comparisons = Comparisons.from_names(["t"] * len(both_ways), *zip(*both_ways, strict=True))
    found = next_pairs(comparisons.items, estimate_scores(PairCounts.of(comparisons)), random_share=0)
    assert [(pair.first, pair.second) for pair in found] == list(itertools.combinations(names, 2))[:20]


def test_pairs_that_join_groups_come_first_and_have_no_figure() -> None:
    comparisons = Comparisons.from_names(["t"] * 4, ["a", "b", "a", "y"], ["b", "c", "b", "x"])
    found = next_pairs(comparisons.items, estimate_scores(PairCounts.of(comparisons)), random_share=0)
    assert (found[0].first, found[0].second, found[0].expected_reduction) == ("b", "x", None)
    groups = [{"a", "b", "c"}, {"x", "y"}]
    assert len(found) == 1 + 3 + 1
    for pair in found[1:]:
        assert pair.expected_reduction is not None
        assert any({pair.first, pair.second} <= group for group in groups)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.2, 4), (0.5, 10), (1.0, 20)])
def test_a_share_of_the_pairs_is_random_and_marked(share: float, expected: int) -> None:
    comparisons = random_session(items=40, decisions=300)
    found = next_pairs(comparisons.items, estimate_scores(PairCounts.of(comparisons)), random_share=share)
    assert len({(pair.first, pair.second) for pair in found}) == 20
    assert sum(pair.reason is Reason.RANDOM for pair in found) == expected


def test_the_random_pairs_are_others_after_the_next_decision_and_the_same_when_asked_again() -> None:
    session = random_session(items=40, decisions=301)
    shorter = session.take(slice(300))
    drawn = [
        [
            pair
            for pair in next_pairs(s.items, estimate_scores(PairCounts.of(s)))
            if pair.reason is Reason.RANDOM
        ]
        for s in (session, shorter, session)
    ]
    assert drawn[0] == drawn[2] != drawn[1]


def test_pairs_across_a_weak_link_come_before_all_others() -> None:
    comparisons = field_case("weak1")
    estimate = estimate_scores(PairCounts.of(comparisons))
    found = next_pairs(comparisons.items, estimate, cuts=weak_cuts(estimate, covariances(estimate)))
    assert [pair.reason for pair in found[:4]] == [Reason.WEAK_LINK] * 3 + [Reason.INFORMATION]
    for pair in found[:3]:
        assert {pair.first[0], pair.second[0]} == {"a", "b"}
