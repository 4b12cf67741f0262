"""Judges' answers and job results through the whole of RAS: to the assessment app, and beside a batch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx

from tests.support.accounts import all_is_projected, all_is_taken_in
from tests.support.http import API_KEY
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Topics
from tests.support.upstream import expectations, scenario
from tests.support.waiting import wait_until


def asked(app: RoleProcess, path: str) -> dict[str, Any]:
    """Ask the assessment app as RAS does."""
    headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": "result_aggregator_service"}
    answer = httpx.get(f"{app.url}/internal/v1/assessments/{path}", headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_job_is_told_as_its_judges_decided(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    expected = expectations("comparisons-120")
    app, *_ = (ras.start(name).wait_until_ready() for name in ("serve-assessments", "ingest", "project"))
    ras_topics.send(line.message for line in scenario("comparisons-120"))
    wait_until(
        lambda: all_is_taken_in(store, ras_topics) and all_is_projected(store),
        what="every answer is in the read model",
        state=store.positions,
    )

    detailed = asked(app, f"{expected['cj_batch_id']}/detailed?limit=1000")
    [job] = asked(app, f"{expected['bos_batch_id']}/summary")["jobs"]

    items = {item["item"]: item for item in detailed["items"]}
    assert {name: item["wins"] for name, item in items.items()} == expected["wins"]
    assert {name: item["comparisons"] for name, item in items.items()} == expected["appearances"]
    names, beaten = detailed["matrix"]["items"], Counter[str]()
    for one, other, judged, one_won in detailed["matrix"]["pairs"]:
        beaten.update({names[other]: one_won, names[one]: judged - one_won})
    assert +beaten == +Counter(expected["losses"])
    assert len(detailed["decisions"]) == expected["distinct_request_ids"]
    assert detailed["counts"] == job["counts"]
    assert (job["counts"]["decisions"], job["counts"]["failures"]) == (
        expected["successes"],
        expected["errors"],
    )
    assert (job["state"], detailed["state"]) == ("running", "running")


def test_the_query_api_puts_the_summary_beside_the_batch(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    [batch_id] = expectations("happy-path-30")["batches"]
    app, *_ = (ras.start(name).wait_until_ready() for name in ("serve-assessments", "ingest", "project"))
    api = ras.start("serve", assessments_url=app.url).wait_until_ready()
    ras_topics.send(line.message for line in scenario("happy-path-30"))
    wait_until(
        lambda: all_is_taken_in(store, ras_topics) and all_is_projected(store),
        what="the batch is in the read models",
        state=store.positions,
    )

    status = ras.get(api, f"/batches/{batch_id}/status?include=assessment").json()
    summary = asked(app, f"{batch_id}/summary")

    assert status["assessment"] == {"available": True, **summary}
    [job] = summary["jobs"]
    ranks = {line["item"]: line["published_rank"] for line in job["ranking"]}
    assert {e["essay_id"]: e["cj_rank"] for e in status["essays"]} == {
        essay_id: rank for essay_id, rank in ranks.items() if not essay_id.startswith("ANCHOR_")
    }
    assert (job["state"], job["counts"]["decisions"]) == ("finished", 0)
