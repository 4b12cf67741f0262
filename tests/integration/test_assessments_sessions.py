"""Real judging sessions as events: what the app says of them is what others computed with R's sirt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.assessing import assessors_on
from tests.support.judging import SESSIONS, Job, reference_of, session_of


@pytest.fixture(params=SESSIONS)
def session(request: pytest.FixtureRequest, database_url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The detailed answer about a session, and its reference results."""
    reference = reference_of(request.param)
    with assessors_on(database_url) as assessors:
        assessors.hear(session_of(request.param, Job(request.param)))
        return assessors.detailed(request.param), reference


def test_the_detailed_answer_agrees_with_the_published_fit(
    session: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    body, reference = session
    theirs = {item["item"]: item for item in reference["items"]}
    items = {item["item"]: item for item in body["items"]}
    assert items.keys() == theirs.keys()
    apart = np.abs([items[name]["theta"] - theirs[name]["theta"] for name in theirs])
    assert np.quantile(apart, 0.95) <= 0.02
    assert apart.max() <= 0.12
    for name, item in items.items():
        other = theirs[name]
        assert (item["comparisons"], item["wins"]) == (other["n"], other["wins"])
        assert item["se"] == pytest.approx(other["se"], abs=0.01, rel=0.02)
        assert item["infit"] == pytest.approx(other["infit"], abs=0.02)
        assert item["outfit"] == pytest.approx(other["outfit"], abs=0.1, rel=0.05)
    judges = {judge["judge"]: judge for judge in body["judges"]}
    assert judges.keys() == {judge["judge"] for judge in reference["judges"]}
    for other in reference["judges"]:
        judge = judges[other["judge"]]
        assert judge["decisions"] == other["n"]
        assert judge["infit"] == pytest.approx(other["infit"], abs=0.02)
        assert judge["outfit"] == pytest.approx(other["outfit"], abs=0.1, rel=0.05)
    assert body["reliability"]["ssr"] == pytest.approx(reference["ssr"], abs=0.001)
    assert body["reliability"]["separation_g"] == pytest.approx(reference["separation_g"], rel=0.02)
    assert body["counts"]["decisions"] == reference["n_decisions"]
    assert sum(pair[2] for pair in body["matrix"]["pairs"]) == reference["n_decisions"]
