"""What is said of a session beyond its scores."""

from __future__ import annotations

import numpy as np
import pytest

from domain.bradley_terry import score
from domain.comparison_graph import Comparisons
from domain.judging_quality import (
    SplitBy,
    assess_quality,
    misfits,
    reliability_growth,
    split_half_reliability,
)


def _session(
    items: int = 20, decisions: int = 800, judges: int = 6, spread: float = 2.0, seed: int = 3
) -> Comparisons:
    """Pairs drawn at random, decided by the model."""
    generator = np.random.RandomState(seed)
    theta = generator.normal(0, spread, items)
    first = generator.randint(items, size=decisions)
    second = (first + generator.randint(1, items, size=decisions)) % items
    first_won = generator.random_sample(decisions) < 1 / (1 + np.exp(theta[second] - theta[first]))
    name = [f"essay-{n:03d}" for n in range(items)]
    return Comparisons.from_names(
        [f"teacher-{n:04d}" for n in generator.randint(judges, size=decisions)],
        [name[i] for i in np.where(first_won, first, second)],
        [name[i] for i in np.where(first_won, second, first)],
    )


@pytest.mark.parametrize("split_by", list(SplitBy))
def test_split_half_reliability_is_near_ssr_when_pairs_are_random(split_by: SplitBy) -> None:
    comparisons = _session()
    half = split_half_reliability(comparisons, split_by)
    ssr = score(comparisons).ssr
    assert half.usable_splits == half.splits
    assert half.correlation is not None
    assert half.reliability == pytest.approx(2 * half.correlation / (1 + half.correlation))
    assert half.reliability == pytest.approx(ssr, abs=0.05)


def test_split_half_of_coin_throws_is_low() -> None:
    half = split_half_reliability(_session(spread=0.0), SplitBy.DECISIONS)
    assert half.correlation is not None
    assert half.correlation < 0.5


def test_split_half_does_not_depend_on_the_order_of_decisions() -> None:
    comparisons = _session()
    backwards = comparisons.take(np.arange(len(comparisons))[::-1])
    for split_by in SplitBy:
        assert split_half_reliability(comparisons, split_by) == split_half_reliability(backwards, split_by)


def test_one_judge_cannot_be_split_but_the_decisions_can() -> None:
    comparisons = _session(judges=1)
    by_judges = split_half_reliability(comparisons, SplitBy.JUDGES)
    assert (by_judges.usable_splits, by_judges.correlation, by_judges.reliability) == (0, None, None)
    assert split_half_reliability(comparisons, SplitBy.DECISIONS).usable_splits > 0


def test_a_single_decision_has_no_halves() -> None:
    comparisons = Comparisons.from_names(["t"], ["a"], ["b"])
    for split_by in SplitBy:
        assert split_half_reliability(comparisons, split_by).reliability is None


def test_reliability_grows_by_tenths_and_ends_at_the_whole() -> None:
    comparisons = _session()
    growth = reliability_growth(comparisons)
    assert [point.decisions for point in growth] == [80 * tenth for tenth in range(1, 11)]
    whole = score(comparisons)
    assert (growth[-1].ssr, growth[-1].separation_g) == (whole.ssr, whole.separation_g)


def test_growth_has_no_figure_while_the_comparisons_are_not_connected() -> None:
    chosen, not_chosen = ["a", "c", "a", "b"], ["b", "d", "c", "d"]
    growth = reliability_growth(Comparisons.from_names(["t"] * 4, chosen, not_chosen), steps=4)
    assert [(point.items, point.components) for point in growth] == [(2, 1), (4, 2), (4, 1), (4, 1)]
    assert growth[1].ssr is None
    assert growth[2].ssr is not None


def test_fewer_decisions_than_steps_give_fewer_points() -> None:
    growth = reliability_growth(Comparisons.from_names(["t"] * 3, ["a", "b", "a"], ["b", "c", "c"]))
    assert [point.decisions for point in growth] == [1, 2, 3]


def test_a_judge_who_decides_against_everybody_is_flagged() -> None:
    honest = _session(judges=12)
    rows = zip(honest.judge, honest.chosen, honest.not_chosen, strict=True)
    turned = [(j, lost, won) if j == 5 else (j, won, lost) for j, won, lost in rows]
    judge, chosen, not_chosen = (np.array(column) for column in zip(*turned, strict=True))
    session = Comparisons(honest.items, honest.judges, judge, chosen, not_chosen)
    flagged = misfits(score(session))
    assert [fit.judge for fit in flagged.judges] == ["teacher-0005"]
    assert flagged.judge_limit is not None
    assert flagged.judges[0].infit > flagged.judge_limit


def test_one_judge_has_nobody_to_be_compared_with() -> None:
    assert misfits(score(_session(judges=1))).judge_limit is None


def test_everything_together_is_the_same_on_every_call() -> None:
    comparisons = _session()
    scores = score(comparisons)
    quality = assess_quality(comparisons, scores)
    assert quality == assess_quality(comparisons, scores)
    assert quality.split_half_by_judges == split_half_reliability(comparisons, SplitBy.JUDGES)
    assert len(quality.next_pairs) == 20
    assert not any("adaptively" in warning for warning in quality.findings.warnings)
