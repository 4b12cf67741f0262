"""More evidence for a side never makes its gap smaller, also where all decisions between two sets went one way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bradley_terry import estimate_scores
from domain.comparison_graph import Comparisons, FloatArray, PairCounts
from domain.concave_scores import concave_scores

Row = tuple[int, int]

_TABLES = st.integers(2, 8).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(st.tuples(st.integers(0, n - 1), st.booleans()), min_size=n - 1, max_size=n - 1),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=20),
        st.permutations(range(n)).map(lambda order: (order[0], order[1])),
    )
)


@given(_TABLES, st.sampled_from([0.0, 0.7]))
def test_one_more_win_widens_the_gap_of_reference_scores(
    table: tuple[int, list[tuple[int, bool]], list[Row], Row], tie_parameter: float
) -> None:
    n, tree, further, again = table
    rows = [(i, parent % i) if won else (parent % i, i) for i, (parent, won) in enumerate(tree, start=1)]
    rows += [row for row in further if row[0] != row[1]]

    def gap(decisions: list[Row]) -> float:
        counts = _counts(decisions)
        theta = concave_scores(
            counts, counts.low_wins, start=np.zeros(n), tie_parameter=tie_parameter, reference=0.3
        )
        return float(theta[again[0]] - theta[again[1]])

    gaps = [gap([*rows, *[again] * repeats]) for repeats in range(4)]
    assert all(later > earlier for earlier, later in itertools.pairwise(gaps))


@pytest.mark.parametrize("seed", range(6))
def test_in_small_separated_sessions_no_gap_falls_noticeably_and_none_jumps(seed: int) -> None:
    generator = np.random.RandomState(seed)
    for _ in range(10):
        upper, lower, rows = _separated(generator)
        repeated = (int(generator.choice(upper)), int(generator.choice(lower)))
        undecided = _theta(rows)
        for same in (True, False):
            decided, before = rows, undecided
            for _ in range(4):
                winner, loser = (
                    repeated if same else (int(generator.choice(upper)), int(generator.choice(lower)))
                )
                is_new = (winner, loser) not in decided
                decided = [*decided, (winner, loser)]
                after = _theta(decided)
                gained = (after[winner] - after[loser]) - (before[winner] - before[loser])
                assert gained > (-0.5 if is_new else -0.1)
                if not is_new:
                    assert np.abs(after - before).max() < 2.0
                before = after


def _separated(generator: np.random.RandomState) -> tuple[list[int], list[int], list[Row]]:
    """Two sets, each connected within; 1 to 5 decisions between them, all for the first."""
    sizes = generator.randint(2, 9, size=2)
    upper, lower = list(range(sizes[0])), list(range(sizes[0], int(sizes.sum())))
    theta = generator.normal(0, generator.uniform(0.3, 2), int(sizes.sum()))
    pairs: list[Row] = []
    for members in (upper, lower):
        pairs += [(members[k], members[generator.randint(k)]) for k in range(1, len(members))]
        for _ in range(generator.randint(5 * len(members))):
            one, other = generator.choice(members, 2, replace=False)
            pairs.append((int(one), int(other)))
    rows = [
        (i, j) if generator.random_sample() < 1 / (1 + np.exp(theta[j] - theta[i])) else (j, i)
        for i, j in pairs
    ]
    across = range(generator.randint(1, 6))
    return upper, lower, rows + [(int(generator.choice(upper)), int(generator.choice(lower))) for _ in across]


def _counts(rows: list[Row]) -> PairCounts:
    names = [(f"essay-{i:02d}", f"essay-{j:02d}") for i, j in rows]
    return PairCounts.of(Comparisons.from_names(["teacher-0001"] * len(rows), *zip(*names, strict=True)))


def _theta(rows: list[Row]) -> FloatArray:
    return estimate_scores(_counts(rows)).theta
