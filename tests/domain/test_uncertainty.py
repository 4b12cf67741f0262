"""Errors from the whole covariance matrix, weak links, one-way sets and penalised scores."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize

from domain.bradley_terry import Estimate, estimate_scores, scores_of
from domain.comparison_graph import Comparisons, PairCounts
from domain.findings import Findings, find
from domain.firth import firth_scores
from domain.laplacian import Laplacian
from domain.one_way import separation
from domain.uncertainty import covariances
from domain.weak_links import WeakLink, weak_cuts, weak_links
from tests.support.judging_sessions import CASES, field_case, random_session, real_session, rows_of


def _estimate(comparisons: Comparisons) -> Estimate:
    return estimate_scores(PairCounts.of(comparisons))


def _findings(comparisons: Comparisons) -> Findings:
    estimate = _estimate(comparisons)
    return find(comparisons, estimate, scores_of(comparisons, estimate))


def _links(comparisons: Comparisons) -> tuple[WeakLink, ...]:
    estimate = _estimate(comparisons)
    return weak_links(comparisons.items, estimate, weak_cuts(estimate, covariances(estimate)))


def _dense_covariance(comparisons: Comparisons, estimate: Estimate) -> NDArray[np.float64]:
    """The Moore-Penrose inverse of the information matrix, decision by decision."""
    n = len(comparisons.items)
    information = np.zeros((n, n))
    for i, j in zip(comparisons.chosen, comparisons.not_chosen, strict=True):
        p = 1 / (1 + np.exp(estimate.theta[j] - estimate.theta[i]))
        direction = np.zeros(n)
        direction[i], direction[j] = 1, -1
        information += p * (1 - p) * np.outer(direction, direction)
    return np.linalg.pinv(information, hermitian=True).astype(np.float64, copy=False)


def test_full_errors_are_those_of_the_dense_pseudo_inverse() -> None:
    session = random_session(items=15, decisions=120)
    estimate = _estimate(session)
    dense = _dense_covariance(session, estimate)
    [part] = covariances(estimate)
    assert part.variances == pytest.approx(np.diag(dense))
    i, j = np.array([0, 3, 7]), np.array([1, 14, 2])
    expected = dense[i, i] + dense[j, j] - 2 * dense[i, j]
    assert part.variances_of_differences(i, j) == pytest.approx(expected)


def test_one_decision_between_two_groups_leaves_their_difference_unknown() -> None:
    session = field_case("weak1")
    estimate = _estimate(session)
    [part] = covariances(estimate)
    i, j = session.items.index("a5"), session.items.index("b5")
    assert part.variances_of_differences(np.array([i]), np.array([j])) ** 0.5 == pytest.approx(9.9, abs=0.01)
    assert (1 / estimate.information[[i, j]]).sum() ** 0.5 == pytest.approx(0.61, abs=0.005)
    found = _findings(session)
    [link] = found.weak_links
    assert (link.decisions, link.bridge, link.pairs) == (1, True, (("a4", "b4"),))
    assert {len(link.one_side), len(link.other_side)} == {10}
    assert link.shift_se == pytest.approx(9.87, abs=0.01)
    assert any(warning.startswith("Weak link: 1 decision joins") for warning in found.warnings)
    # The ranks of an item reach across the other group: with that one decision reversed they swap.
    assert max(item.worst_rank for item in found.items if item.rank == 1) > 10


def _two_groups(size: int, across: int, seed: int) -> Comparisons:
    generator = np.random.RandomState(seed)
    rows = []
    for group in "ab":
        for _ in range(size * 12):
            i, j = generator.choice(size, 2, replace=False)
            rows.append((f"{group}{i:02d}", f"{group}{j:02d}"))
    rows += [(f"a{k:02d}", f"b{(k * 3) % size:02d}") for k in range(across)]
    return Comparisons.from_names(["t"] * len(rows), *zip(*rows, strict=True))


@pytest.mark.parametrize("across", [1, 2, 3])
@pytest.mark.parametrize(("size", "seed"), [(6, 1), (15, 2), (30, 3)])
def test_a_few_decisions_between_groups_of_any_size_are_named(across: int, size: int, seed: int) -> None:
    link = _links(_two_groups(size, across, seed))[0]
    assert link.decisions == across
    assert {name[0] for name in link.one_side} in ({"a"}, {"b"})
    assert len(link.one_side) == len(link.other_side) == size


def test_three_groups_in_a_row_have_two_weak_links() -> None:
    generator = np.random.RandomState(4)
    rows = [
        tuple(f"{group}{n}" for n in generator.choice(8, 2, replace=False))
        for group in "abc"
        for _ in range(100)
    ]
    rows += [("a0", "b0"), ("a1", "b2"), ("b5", "c5"), ("c1", "b1")]
    links = _links(Comparisons.from_names(["t"] * len(rows), *zip(*rows, strict=True)))
    assert sorted(link.decisions for link in links) == [2, 2]


@pytest.mark.parametrize("name", ["Coertjens2015_stress", "Daal2017_sample1", "PollittX_efl-writing"])
def test_real_sessions_have_no_weak_links(name: str) -> None:
    assert _links(real_session(name)) == ()


@pytest.mark.parametrize("seed", range(5))
def test_ordinary_random_sessions_have_no_weak_links(seed: int) -> None:
    assert _links(random_session(items=40, decisions=400, seed=seed)) == ()


def test_many_items_give_nearly_the_same_errors_from_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    session = random_session(items=60, decisions=900)
    estimate = _estimate(session)
    [exact] = covariances(estimate)
    monkeypatch.setattr("domain.laplacian.LARGEST_DENSE", 10)
    [drawn] = covariances(estimate)
    assert np.sqrt(drawn.variances) == pytest.approx(np.sqrt(exact.variances), rel=0.3)
    assert np.mean(drawn.variances / exact.variances) == pytest.approx(1, abs=0.05)
    assert weak_cuts(estimate, [drawn]) == ()
    linked = field_case("weak1")
    [link] = _links(linked)
    assert (len(link.one_side), link.decisions) == (10, 1)


def test_conjugate_gradients_solve_what_the_dense_inverse_solves(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = PairCounts.of(random_session(items=50, decisions=300))
    right = np.random.RandomState(1).normal(size=(50, 3))
    right -= right.mean(axis=0)
    for ridge in (0.0, 0.25):
        dense = Laplacian(50, counts.low, counts.high, counts.judged, ridge).solve(right)
        with monkeypatch.context() as patched:
            patched.setattr("domain.laplacian.LARGEST_DENSE", 1)
            sparse = Laplacian(50, counts.low, counts.high, counts.judged, ridge).solve(right)
        assert sparse == pytest.approx(dense, abs=1e-4)


@pytest.mark.parametrize("case", ["quasi", "quasi2"])
def test_sets_between_which_all_went_one_way_are_named(case: str) -> None:
    found = _findings(field_case(case))
    assert any(set(cut.winners) == {"a0", "a1"} for cut in found.separation.sets)
    assert any(warning.startswith("One way only") for warning in found.warnings)


def test_one_more_decision_for_a_side_never_makes_its_gap_smaller() -> None:
    rows = rows_of(CASES / "quasi.csv")
    gaps: list[float] = []
    penalised: list[float] = []
    for repeats in range(12):
        session = Comparisons.from_names(*zip(*[*rows, *[rows[-1]] * repeats], strict=True))
        estimate = _estimate(session)
        upper = [name.startswith("a") for name in session.items]
        for found, theta in ((gaps, estimate.theta), (penalised, firth_scores(estimate))):
            found.append(theta[upper].mean() - theta[np.logical_not(upper)].mean())
    for found in (gaps, penalised):
        assert all(later > earlier for earlier, later in itertools.pairwise(found))
        assert max(later - earlier for earlier, later in itertools.pairwise(found)) < 0.7
    assert rows_of(CASES / "quasi2.csv") == [*rows, rows[-1]]


def test_a_session_with_upsets_everywhere_is_not_separated() -> None:
    session = random_session(items=10, decisions=600, spread=0.5)
    found = separation(session.items, _estimate(session))
    assert (found.won_all, found.lost_all, found.sets) == ((), (), ())


@pytest.mark.parametrize("seed", [1, 2])
def test_penalised_scores_maximise_the_likelihood_times_jeffreys_prior(seed: int) -> None:
    session = random_session(items=6, decisions=25, spread=2, seed=seed)
    estimate = _estimate(session)
    assert estimate.n_components == 1

    def objective(free: NDArray[np.float64]) -> float:
        theta = np.append(free, -free.sum())
        difference = theta[session.chosen] - theta[session.not_chosen]
        p = 1 / (1 + np.exp(-difference))
        design = np.zeros((len(session), 6))
        design[np.arange(len(session)), session.chosen] += 1
        design[np.arange(len(session)), session.not_chosen] -= 1
        information = (design.T * (p * (1 - p))) @ design + 1 / 6
        return float(-np.log(p).sum() - np.linalg.slogdet(information)[1] / 2)

    best = optimize.minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-8}).x
    assert firth_scores(estimate) == pytest.approx(np.append(best, -best.sum()), abs=1e-4)


def test_over_a_bridge_of_one_decision_the_penalised_gap_is_that_of_this_decision_alone() -> None:
    session = field_case("weak1")
    theta = dict(zip(session.items, firth_scores(_estimate(session)), strict=True))

    # Half a win more on each side: log(1.5 / 0.5). What happened within the two groups does not bear on it.
    assert theta["a4"] - theta["b4"] == pytest.approx(np.log(3), abs=1e-6)
