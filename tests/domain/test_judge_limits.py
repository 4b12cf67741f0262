"""Judges who decide otherwise than the rest, in panels of three and more, and by position instead of text."""

from __future__ import annotations

import numpy as np
import pytest

from domain.bradley_terry import estimate_scores, scores_of
from domain.comparison_graph import Comparisons, PairCounts
from domain.findings import Findings, find
from domain.judge_limits import Verdict
from tests.support.judging_sessions import REAL_SESSIONS, field_case, random_session, real_session


def _findings(comparisons: Comparisons) -> Findings:
    estimate = estimate_scores(PairCounts.of(comparisons))
    return find(comparisons, estimate, scores_of(comparisons, estimate))


def _verdicts(comparisons: Comparisons) -> dict[str, Verdict]:
    return {check.judge: check.verdict for check in _findings(comparisons).judges}


def _panel(judges: int, seed: int, *, decisions_each: int = 60, contrary: bool = True) -> Comparisons:
    generator = np.random.RandomState(seed)
    theta = np.linspace(-2, 2, 20)
    judge, chosen, not_chosen = [], [], []
    for number in range(judges):
        for _ in range(decisions_each):
            i, j = generator.choice(20, 2, replace=False)
            won = generator.random_sample() < 1 / (1 + np.exp(theta[j] - theta[i]))
            if contrary and number == judges - 1:
                won = not won
            winner, loser = (i, j) if won else (j, i)
            judge.append(f"teacher-{number:04d}")
            chosen.append(f"essay-{winner:02d}")
            not_chosen.append(f"essay-{loser:02d}")
    return Comparisons.from_names(judge, chosen, not_chosen)


def test_the_contrary_judge_of_five_is_named_and_the_limit_with_it() -> None:
    found = _findings(field_case("contrary"))
    assert [check.judge for check in found.judges if check.flagged] == ["E"]
    [warning] = [each for each in found.warnings if "Judge" in each]
    assert "Judge E decides contrary to the others: agreement in 3 of 40 decisions" in warning
    assert "limit" in warning
    assert all(check.agreement_limit is not None and check.infit_limit is not None for check in found.judges)


@pytest.mark.parametrize("judges", [3, 4, 5, 8, 20])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_contrary_judge_is_found_in_panels_of_any_size(judges: int, seed: int) -> None:
    found = _findings(_panel(judges, seed))
    contrary = [check.judge for check in found.judges if check.verdict is Verdict.CONTRARY]
    assert contrary == [f"teacher-{judges - 1:04d}"]
    limits = [limit for check in found.judges for limit in (check.agreement_limit, check.infit_limit)]
    assert all(limit is not None and limit > 0 for limit in limits)


def test_of_two_judges_who_contradict_each_other_none_is_named_by_a_third() -> None:
    """Beside a contrary judge, an honest one of three has one other left: limits are printed, no verdict."""
    named = [
        check
        for seed in range(8)
        for check in _findings(_panel(3, seed, decisions_each=25)).judges
        if check.judge != "teacher-0002" and check.flagged
    ]
    assert named == []


@pytest.mark.parametrize("judges", [3, 5, 20])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_honest_panels_have_nobody_named(judges: int, seed: int) -> None:
    found = _findings(_panel(judges, seed, contrary=False))
    assert not any(check.flagged for check in found.judges)


def test_of_two_judges_nobody_can_tell() -> None:
    found = _findings(_panel(2, 1))
    assert {check.verdict for check in found.judges} == {Verdict.CANNOT_TELL}
    assert any("three are needed" in note for note in found.notes)


def test_few_decisions_cannot_tell() -> None:
    assert set(_verdicts(_panel(4, 1, decisions_each=5)).values()) == {Verdict.CANNOT_TELL}


@pytest.mark.parametrize("name", REAL_SESSIONS)
def test_in_real_sessions_no_judge_is_contrary(name: str) -> None:
    assert Verdict.CONTRARY not in _verdicts(real_session(name)).values()


def _with_first(comparisons: Comparisons, probability: float, seed: int = 1) -> Comparisons:
    """The same decisions; the chosen text was shown first with the given probability."""
    place = (np.random.RandomState(seed).random_sample(len(comparisons)) < probability).astype(np.int8)
    return Comparisons(
        comparisons.items,
        comparisons.judges,
        comparisons.judge,
        comparisons.chosen,
        comparisons.not_chosen,
        place,
    )


def test_a_judge_who_always_takes_the_first_text_is_named() -> None:
    generator = np.random.RandomState(2)
    pairs = [generator.choice(20, 2, replace=False) for _ in range(200)]
    chosen, not_chosen = ([f"essay-{pair[k]:02d}" for pair in pairs] for k in (0, 1))
    found = _findings(Comparisons.from_names(["t"] * 200, chosen, not_chosen, shown_first=chosen))
    assert any("Judge t chose the text shown first in 200 of 200 decisions" in w for w in found.warnings)
    assert found.position is not None
    [judge] = found.position.judges
    assert judge.flagged
    assert (judge.first.hits, judge.first.n, judge.same_choice.hits) == (200, 200, 0)
    assert found.position.matters
    # With the order effect the decisions say nothing of the texts.
    assert max(abs(item.theta_with) for item in found.position.items) < 0.1


def test_without_a_preference_for_a_position_nothing_is_said() -> None:
    found = _findings(_with_first(random_session(), 0.5))
    assert found.position is not None
    assert not found.position.matters
    assert not any(judge.flagged for judge in found.position.judges)
    assert found.position.delta_lower is not None
    assert found.position.delta_upper is not None
    assert found.position.delta_lower < 0 < found.position.delta_upper


def test_where_the_order_is_not_known_there_is_no_position_effect() -> None:
    assert _findings(random_session()).position is None


@pytest.mark.parametrize("effect", [-0.5, 0.4, 1.0])
def test_the_order_effect_of_the_model_is_found_again(effect: float) -> None:
    generator = np.random.RandomState(7)
    theta = generator.normal(0, 1.5, 25)
    theta -= theta.mean()
    first = generator.randint(25, size=4000)
    second = (first + generator.randint(1, 25, size=4000)) % 25
    won = generator.random_sample(4000) < 1 / (1 + np.exp(theta[second] - theta[first] - effect))
    name = np.array([f"essay-{n:02d}" for n in range(25)])
    found = _findings(
        Comparisons.from_names(
            ["t"] * 4000,
            name[np.where(won, first, second)].tolist(),
            name[np.where(won, second, first)].tolist(),
            shown_first=name[first].tolist(),
        )
    )
    assert found.position is not None
    assert found.position.delta is not None
    assert found.position.delta_se is not None
    assert abs(found.position.delta - effect) < 3 * found.position.delta_se
    assert 0.02 < found.position.delta_se < 0.06
    assert found.position.matters
    with_effect = np.array([item.theta_with for item in found.position.items])
    assert np.abs(with_effect - theta).max() < 0.6


def test_a_text_shown_first_that_was_not_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="decision 1: shown_first is 'c'"):
        Comparisons.from_names(["t"], ["a"], ["b"], shown_first=["c"])
