"""Agreement with results that others computed with R's sirt from real judging sessions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from domain.bradley_terry import JudgingScores, score_decisions

DATA = Path(__file__).parents[3] / "shared" / "cj-data"
SESSIONS = ("Coertjens2015_stress", "Daal2017_sample1", "PollittX_efl-writing")


@pytest.fixture(params=SESSIONS)
def session(request: pytest.FixtureRequest) -> tuple[JudgingScores, dict[str, Any]]:
    folder = DATA / str(request.param)
    if not folder.is_dir():
        pytest.skip(f"the judging sessions are not here: no folder {folder}")
    with (folder / "decisions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ([row[name] for row in rows] for name in ("judge", "chosen", "not_chosen"))
    reference: dict[str, Any] = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    return score_decisions(*columns), reference


def _apart(ours: list[float], theirs: list[float]) -> NDArray[np.float64]:
    return np.abs(np.array(ours, dtype=np.float64) - np.array(theirs, dtype=np.float64))


def test_items_agree_with_the_published_fit(session: tuple[JudgingScores, dict[str, Any]]) -> None:
    scores, reference = session
    theirs = {item["item"]: item for item in reference["items"]}
    assert {item.item for item in scores.items} == set(theirs)
    for item in scores.items:
        assert (item.comparisons, item.wins) == (theirs[item.item]["n"], theirs[item.item]["wins"])
    pairs = [(item, theirs[item.item]) for item in scores.items]
    theta = _apart([ours.theta for ours, _ in pairs], [other["theta"] for _, other in pairs])
    assert np.quantile(theta, 0.95) <= 0.02
    assert theta.max() <= 0.12
    # What an exact solution of the same equations can reach (the reference stopped a little early).
    assert theta.max() <= 0.003
    for ours, other in pairs:
        assert ours.se == pytest.approx(other["se"], abs=0.001)
        assert ours.infit == pytest.approx(other["infit"], abs=0.002)
        assert ours.outfit == pytest.approx(other["outfit"], abs=0.005)


def test_judges_agree_with_the_published_fit(session: tuple[JudgingScores, dict[str, Any]]) -> None:
    scores, reference = session
    theirs = {judge["judge"]: judge for judge in reference["judges"]}
    assert {judge.judge for judge in scores.judges} == set(theirs)
    for judge in scores.judges:
        assert judge.decisions == theirs[judge.judge]["n"]
        assert judge.infit == pytest.approx(theirs[judge.judge]["infit"], abs=0.02)
        assert judge.outfit == pytest.approx(theirs[judge.judge]["outfit"], abs=0.1, rel=0.05)


def test_reliability_agrees_with_the_published_fit(session: tuple[JudgingScores, dict[str, Any]]) -> None:
    scores, reference = session
    assert len(scores.components) == 1
    assert scores.warnings == ()
    assert scores.ssr == pytest.approx(reference["ssr"], abs=0.0001)
    assert scores.separation_g == pytest.approx(reference["separation_g"], rel=0.001)
