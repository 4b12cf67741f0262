"""Evidence that judges see a difference, against tossed coins."""

from __future__ import annotations

import math

import numpy as np
import pytest

from domain.bradley_terry import estimate_scores
from domain.comparison_graph import Comparisons, PairCounts
from domain.forward_test import UNDECIDED, foresee, forward_test
from domain.tossed_coins import MOST_ITEMS, log_bayes_factor, speak_for_coins
from tests.support.judging_sessions import Design, simulated


def _by_quadrature(wins: dict[tuple[int, int], int], n: int) -> float:
    """log B of up to three texts by Gauss-Hermite quadrature, an independent way to the integral."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    grid = np.stack(np.meshgrid(*[nodes] * n, indexing="ij")).reshape(n, -1)
    weight = np.stack(np.meshgrid(*[weights] * n, indexing="ij")).reshape(n, -1).prod(axis=0)
    weight /= (2 * math.pi) ** (n / 2)
    log_likelihood = sum(-k * np.logaddexp(0, grid[j] - grid[i]) for (i, j), k in wins.items())
    return math.log(float((weight * np.exp(log_likelihood)).sum())) + sum(wins.values()) * math.log(2)


@pytest.mark.parametrize(
    "wins",
    [
        {(0, 1): 1},
        {(0, 1): 6, (1, 0): 6},
        {(0, 1): 9, (1, 0): 1},
        {(0, 1): 4, (1, 2): 4, (2, 0): 4},
        {(0, 1): 8, (1, 0): 2, (1, 2): 7, (2, 1): 3, (0, 2): 9},
    ],
)
def test_the_evidence_is_that_of_the_integral(wins: dict[tuple[int, int], int]) -> None:
    chosen = [f"e{i}" for (i, _), k in wins.items() for _ in range(k)]
    not_chosen = [f"e{j}" for (_, j), k in wins.items() for _ in range(k)]
    session = Comparisons.from_names(["t"] * len(chosen), chosen, not_chosen)
    found = log_bayes_factor(PairCounts.of(session))
    assert found == pytest.approx(_by_quadrature(wins, len(session.items)), abs=0.12)


@pytest.mark.parametrize(
    ("design", "items", "spread", "seed"),
    [
        (Design.SWISS, 20, 2, 4),
        (Design.SWISS, 20, 2, 9),
        (Design.SWISS, 30, 2, 9),
        (Design.OUR_LIST, 20, 1, 12),
    ],
)
def test_honest_judges_of_near_equal_texts_are_not_called_tossed_coins(
    design: Design, items: int, spread: float, seed: int
) -> None:
    """Adaptive pairs are near-equal: few decisions can be predicted, whoever decides."""
    session = simulated(design, items=items, decisions=120, spread=spread, seed=seed)
    estimate = estimate_scores(PairCounts.of(session))
    test = forward_test(session, estimate, foresee(session))
    assert test.p_value is not None
    assert test.p_value > UNDECIDED  # by the forward test alone they would be
    assert test.better_than_chance is None


def test_ties_are_left_out_and_sessions_of_many_texts_too() -> None:
    tied = Comparisons.from_names(["t"] * 2, ["a", "a"], ["b", "c"], tied=[True, True])
    assert log_bayes_factor(PairCounts.of(tied)) == pytest.approx(0.0, abs=1e-9)
    n = MOST_ITEMS + 1
    many = Comparisons.from_names(["t"] * n, [f"e{i}" for i in range(n)], [f"f{i % 2}" for i in range(n)])
    assert log_bayes_factor(PairCounts.of(many)) is None


@pytest.mark.parametrize(("partners", "for_coins"), [(2, False), (6, True)])
def test_of_many_texts_the_forward_test_counts_alone_where_each_was_compared_ten_times(
    partners: int, for_coins: bool
) -> None:
    n = MOST_ITEMS + 1
    names = [f"e{i}" for i in range(n)]
    chosen = [name for name in names for _ in range(partners)]
    not_chosen = [names[(i + d) % n] for i in range(n) for d in range(1, partners + 1)]
    counts = PairCounts.of(Comparisons.from_names(["t"] * len(chosen), chosen, not_chosen))
    assert speak_for_coins(counts) is for_coins
