"""Undecided comparisons, equal scores, and names that look alike."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize

from domain.bradley_terry import estimate_scores, ranked, score, scores_of
from domain.comparison_graph import Comparisons, PairCounts
from domain.findings import Findings, find
from domain.look_alikes import look_alikes, spelled
from domain.notices import ENGLISH, Kind
from tests.support.judging_sessions import field_case


def _findings(comparisons: Comparisons) -> Findings:
    estimate = estimate_scores(PairCounts.of(comparisons))
    return find(comparisons, estimate, scores_of(comparisons, estimate))


def _with_ties(
    seed: int, *, nu: float = 1.0, decisions: int = 4000
) -> tuple[Comparisons, NDArray[np.float64]]:
    generator = np.random.RandomState(seed)
    theta = generator.normal(0, 1.5, 12)
    theta -= theta.mean()
    first = generator.randint(12, size=decisions)
    second = (first + generator.randint(1, 12, size=decisions)) % 12
    gap = theta[first] - theta[second]
    weights = np.exp(gap / 2), np.full(decisions, nu), np.exp(-gap / 2)
    drawn = generator.random_sample(decisions) * sum(weights)
    won, tied = drawn < weights[0], (drawn >= weights[0]) & (drawn < weights[0] + weights[1])
    name = np.array([f"essay-{n:02d}" for n in range(12)])
    swap = ~won & ~tied
    chosen, other = np.where(swap, second, first), np.where(swap, first, second)
    session = Comparisons.from_names(
        ["t"] * decisions, name[chosen].tolist(), name[other].tolist(), tied=tied.tolist()
    )
    return session, theta


def test_undecided_comparisons_follow_davidsons_model() -> None:
    session, truth = _with_ties(1)
    estimate = estimate_scores(PairCounts.of(session))
    assert np.abs(estimate.theta - truth).max() < 0.25
    assert estimate.tie_parameters[0] == pytest.approx(1.0, abs=0.12)


def test_davidsons_model_agrees_with_a_direct_maximisation() -> None:
    session, _ = _with_ties(2, nu=0.7, decisions=600)
    assert session.tied is not None

    def negative(free: NDArray[np.float64]) -> float:
        theta, nu = np.append(free[:-1], -free[:-1].sum()), np.exp(free[-1])
        gap = theta[session.chosen] - theta[session.not_chosen]
        total = np.exp(gap / 2) + nu + np.exp(-gap / 2)
        assert session.tied is not None
        return float(-np.log(np.where(session.tied, nu, np.exp(gap / 2)) / total).sum())

    best = optimize.minimize(negative, np.zeros(12), method="BFGS").x
    estimate = estimate_scores(PairCounts.of(session), epsilon=1e-6)
    assert estimate.theta == pytest.approx(np.append(best[:-1], -best[:-1].sum()), abs=1e-3)
    assert estimate.tie_parameters[0] == pytest.approx(np.exp(best[-1]), abs=1e-3)


def test_a_tie_counts_half_a_win_whichever_text_is_named_first() -> None:
    both = [
        score(
            Comparisons.from_names(["t"] * 3, ["a", "a", one], ["b", "c", other], tied=[False, False, True])
        )
        for one, other in (("b", "c"), ("c", "b"))
    ]
    assert both[0] == both[1]
    assert {item.item: item.wins for item in both[0].items} == {"a": 2, "b": 0.5, "c": 0.5}


def test_only_undecided_comparisons_leave_all_items_equal() -> None:
    session = Comparisons.from_names(["t"] * 6, list("abcabc"), list("bcacab"), tied=[True] * 6)
    found = score(session)
    assert [item.theta for item in found.items] == [0.0, 0.0, 0.0]
    assert [rank for _, rank in ranked(found.items)] == [1, 1, 1]
    assert any("6 of 6 comparisons were undecided" in note for note in _findings(session).notes)


def test_nearly_all_undecided_and_two_sets_apart_still_have_scores() -> None:
    pairs = [("a", "b")] * 30 + [("c", "d")] * 30 + [("a", "c")]
    session = Comparisons.from_names(["t"] * 61, *zip(*pairs, strict=True), tied=[True] * 60 + [False])
    found = score(session)
    assert found.items[0].item == "a"
    assert np.isfinite([item.theta for item in found.items]).all()


def test_without_ties_nothing_changes() -> None:
    rows = (["t", "t"], ["a", "b"], ["b", "c"])
    assert score(Comparisons.from_names(*rows, tied=[False, False])) == score(Comparisons.from_names(*rows))


def test_equal_scores_share_a_rank() -> None:
    found = score(field_case("tie"))
    assert [rank for _, rank in ranked(found.items)] == [1, 1, 1, 1]
    assert str([item.theta for item in found.items]) == "[0.0, 0.0, 0.0, 0.0]"


def test_names_that_look_alike_are_kept_apart_and_named() -> None:
    session = field_case("nfd")
    assert len(session.items) == 7
    [group] = look_alikes(session.items)
    assert len(group) == 4
    [warning] = [each for each in _findings(session).warnings if "look alike" in each]
    assert "\\u00a0" in warning
    assert "\\u030a" in warning


@pytest.mark.parametrize(
    "other",
    ["Essay 1", "essay\u00a01", "essay 1 ", " essay 1", "essay  1", "essay\u200b 1", "essay 1", "ESSAY 1"],
)
def test_each_kind_of_look_alike_is_found(other: str) -> None:
    assert (
        look_alikes(sorted({"essay 1", other})) == (tuple(sorted({"essay 1", other})),) or other == "essay 1"
    )
    assert look_alikes(sorted({"essay 2", other})) == ()


def test_names_in_two_normal_forms_are_spelled_differently() -> None:
    composed, decomposed = (unicodedata.normalize(form, "Åsa") for form in ("NFC", "NFD"))
    assert look_alikes(sorted([composed, decomposed])) == ((decomposed, composed),)
    assert (spelled(composed), spelled(decomposed)) == ('"Åsa"', '"A\\u030asa"')


def test_one_decision_is_said_to_be_one() -> None:
    found = _findings(Comparisons.from_names(["t"], ["a"], ["b"]))
    assert found.warnings[0].startswith("There is only one decision")
    assert any("SSR is negative" in warning for warning in found.warnings)


def test_every_kind_of_notice_has_its_sentence() -> None:
    assert set(ENGLISH) == set(Kind)
