"""Judging sessions for tests: simulated ones of several designs, small field cases, and real ones where they are."""

from __future__ import annotations

import csv
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest

from domain.bradley_terry import estimate_scores
from domain.comparison_graph import Comparisons, PairCounts
from domain.next_pairs import next_pairs

CASES = Path(__file__).parents[1] / "judging"
_REAL = Path(__file__).parents[3] / "shared" / "cj-data"
REAL_SESSIONS = ("Coertjens2015_stress", "Daal2017_sample1", "PollittX_efl-writing")


class Design(StrEnum):
    """How pairs are chosen."""

    RANDOM = "random"
    SWISS = "swiss"
    OUR_LIST = "our_list"


def simulated(
    design: Design, *, items: int, decisions: int, spread: float, seed: int, judges: int = 8
) -> Comparisons:
    """Decisions by the model with normal scores; a spread of 0 is tossing coins."""
    generator = np.random.RandomState(seed)
    theta = generator.normal(0, spread, items) if spread else np.zeros(items)
    names = [f"essay-{n:03d}" for n in range(items)]
    judge, chosen, not_chosen = [], [], []
    points = np.zeros(items)

    def decide(i: int, j: int) -> None:
        won = generator.random_sample() < 1 / (1 + np.exp(theta[j] - theta[i]))
        winner, loser = (i, j) if won else (j, i)
        points[winner] += 1
        judge.append(f"teacher-{generator.randint(judges):04d}")
        chosen.append(names[winner])
        not_chosen.append(names[loser])

    if design is Design.OUR_LIST:
        for i in range(items - 1):
            decide(i, i + 1)
    while len(chosen) < decisions:
        if design is Design.RANDOM:
            i, j = generator.choice(items, 2, replace=False)
            decide(int(i), int(j))
        elif design is Design.SWISS:
            order = np.lexsort((generator.random_sample(items), -points))
            for k in range(0, items - 1, 2):
                decide(int(order[k]), int(order[k + 1]))
        else:
            session = Comparisons.from_names(judge, chosen, not_chosen)
            for pair in next_pairs(session.items, estimate_scores(PairCounts.of(session))):
                decide(names.index(pair.first), names.index(pair.second))
    return Comparisons.from_names(judge[:decisions], chosen[:decisions], not_chosen[:decisions])


def random_session(
    *, items: int = 20, decisions: int = 400, spread: float = 2.0, seed: int = 3
) -> Comparisons:
    """Pairs drawn at random, decided by the model."""
    return simulated(Design.RANDOM, items=items, decisions=decisions, spread=spread, seed=seed)


def rows_of(path: Path) -> list[tuple[str, str, str]]:
    """Return judge, chosen and not chosen of each line."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["judge"], row["chosen"], row["not_chosen"]) for row in csv.DictReader(file)]


def field_case(name: str) -> Comparisons:
    """Return one of the small sessions in `tests/judging`."""
    return Comparisons.from_names(*zip(*rows_of(CASES / f"{name}.csv"), strict=True))


def real_session(name: str) -> Comparisons:
    """Return a real session. Skips the test where they are not."""
    path = _REAL / name / "decisions.csv"
    if not path.exists():
        pytest.skip(f"the judging sessions are not here: no file {path}")
    return Comparisons.from_names(*zip(*rows_of(path), strict=True))
