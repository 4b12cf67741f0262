"""Graphs of comparisons that are not well connected: chains, trees, grids. Their errors are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, sparse

from domain.bradley_terry import estimate_scores, scores_of
from domain.comparison_graph import Comparisons, FloatArray, PairCounts
from domain.findings import find
from domain.incomplete_factor import IncompleteFactor
from domain.laplacian import LARGEST_DENSE, Laplacian
from domain.score_equations import _DENSE_UP_TO, EPSILON

N = LARGEST_DENSE + 100


def _edges(shape: str, n: int) -> list[tuple[int, int]]:
    side, crowd = int(n**0.5), n - 50
    return {
        "chain at a crowd": [(i, (i + k) % crowd) for k in range(1, 21) for i in range(crowd)]
        + [(i, i + 1) for i in range(crowd - 1, n - 1)],
        "chain": [(i, i + 1) for i in range(n - 1)],
        "ring": [(i, (i + 1) % n) for i in range(n)],
        "star": [(0, i) for i in range(1, n)],
        "tree": [((i - 1) // 2, i) for i in range(1, n)],
        "grid": [(i * side + j, i * side + j + 1) for i in range(side) for j in range(side - 1)]
        + [(i * side + j, i * side + side + j) for i in range(side - 1) for j in range(side)],
    }[shape]


SHAPES = ("chain", "ring", "star", "tree", "grid", "chain at a crowd")


@pytest.mark.parametrize("shape", SHAPES)
def test_systems_on_any_graph_are_solved_as_a_dense_solver_does(shape: str) -> None:
    edges = np.array(_edges(shape, N))
    n = int(edges.max()) + 1
    generator = np.random.RandomState(7)
    weights = generator.uniform(0.02, 0.25, len(edges))
    dense = np.zeros((n, n))
    for (i, j), weight in zip(edges.tolist(), weights.tolist(), strict=True):
        dense[i, i] += weight
        dense[j, j] += weight
        dense[i, j] -= weight
        dense[j, i] -= weight
    right = generator.standard_normal((n, 3))
    right -= right.mean(axis=0)
    found = Laplacian(n, edges[:, 0], edges[:, 1], weights).solve(right)
    expected = np.linalg.solve(dense + 1 / n, right)
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def test_a_preconditioner_that_leads_uphill_does_not_lead_astray() -> None:
    edges = np.array(_edges("chain at a crowd", N)[: 20 * (N - 50)])
    n = int(edges.max()) + 1
    graph = Laplacian(n, edges[:, 0], edges[:, 1], np.full(len(edges), 0.2))
    right = np.random.RandomState(7).standard_normal((n, 3))
    right -= right.mean(axis=0)
    expected = graph.solve(right)
    found, left = np.zeros_like(right), right.copy()
    turned = np.array([1.0, -1.0, 1.0])
    assert graph._descend(found, left, lambda column: turned * column / graph.diagonal[:, np.newaxis])
    assert np.abs(found - found.mean(axis=0) - expected).max() < 1e-3 * np.abs(expected).max()


def test_a_singular_matrix_has_no_factor_with_few_and_with_many_entries() -> None:
    for matrix in (sparse.csr_array(np.ones((50, 50))), sparse.csr_array(np.diag([1.0, 0.0] * 25))):
        with pytest.raises(RuntimeError):
            IncompleteFactor(matrix, None)


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_on_any_graph_solve_the_equations(shape: str) -> None:
    generator = np.random.RandomState(3)
    names = [f"essay-{i:04d}" for i in range(N)]
    edges = [pair if generator.random_sample() < 0.5 else pair[::-1] for pair in _edges(shape, N)]
    session = Comparisons.from_names(
        ["teacher-0001"] * len(edges), [names[i] for i, _ in edges], [names[j] for _, j in edges]
    )
    counts = PairCounts.of(session)
    estimate = estimate_scores(counts)
    assert len(session.items) > _DENSE_UP_TO
    p = 1 / (1 + np.exp(estimate.theta[counts.high] - estimate.theta[counts.low]))
    expected = counts.per_item(counts.judged * p, counts.judged * (1 - p))
    assert estimate.balanced[0]
    # Each text also met an imaginary one, whose place is where its wins and losses add up.
    missing = counts.wins_per_item() - expected
    place = optimize.brentq(lambda at: _from_imaginary(estimate.theta - at).sum(), -1000, 1000, xtol=1e-14)
    assert np.abs(missing + _from_imaginary(estimate.theta - place)).max() < 1e-5


def _from_imaginary(theta: FloatArray) -> FloatArray:
    return EPSILON * np.tanh(-theta / 2)


def test_a_chain_has_the_errors_of_a_chain() -> None:
    names = [f"essay-{i:04d}" for i in range(N)]
    rows = [(i, i + 1) if i % 3 else (i + 1, i) for i in range(N - 1)]
    session = Comparisons.from_names(
        [f"teacher-{k % 4}" for k in range(len(rows))],
        [names[i] for i, _ in rows],
        [names[j] for _, j in rows],
        shown_first=[names[i] for i, _ in rows],
    )
    estimate = estimate_scores(PairCounts.of(session))
    findings = find(session, estimate, scores_of(session, estimate))
    at = estimate.moments(estimate.counts.low, estimate.counts.high)
    # The score of the first text less that of the last: the variances of all steps add up, as resistances in series do.
    step = 1 / at.variance
    below = np.arange(1, N)
    by_hand = np.array(
        [
            (step[:i] * (below[:i] / N) ** 2).sum() + (step[i:] * (1 - below[i:] / N) ** 2).sum()
            for i in (0, N // 2, N - 1)
        ]
    )
    error = {item.item: item.se_full for item in findings.items}
    found = np.array([error[names[i]] for i in (0, N // 2, N - 1)]) ** 2
    assert np.abs(found / by_hand - 1).max() < 0.5  # from 128 draws: 12.5 % is one standard error
    assert any(link.bridge for link in findings.weak_links)
