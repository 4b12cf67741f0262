"""Every scenario's answers, as upstream's clients read them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.http import Api, api
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain, stream_file
from tests.support.rest_contract import check_body
from tests.support.upstream import SCENARIO_NAMES, SCENARIOS, expectations

INPUT = [name for name in SCENARIO_NAMES if name != "comparisons-120"]
UNFINISHED = {"pending_content", "ready", "processing"}


@pytest.fixture(scope="module")
def answers(postgres_server: PostgresServerUnderTest) -> Iterator[Api]:
    """The API after every scenario."""
    with fresh_database(postgres_server.url) as url:
        chain = Chain(url)
        for name in INPUT:
            chain.take(stream_file(SCENARIOS / f"{name}.jsonl"))
        with api(url) as answering:
            yield answering


@pytest.mark.parametrize("name", INPUT)
def test_each_batch_of_a_scenario_stands_as_expected(answers: Api, name: str) -> None:
    for batch_id, expected in expectations(name)["batches"].items():
        response = answers.get(f"/internal/v1/batches/{batch_id}/status")
        assert response.status_code == 200, batch_id
        body = response.json()
        check_body("batch-status", body)
        assert (body["batch_id"], body["user_id"]) == (batch_id, expected["user_id"])

        told = dict(expected["rest"])
        essays = told.pop("essays")
        if told["overall_status"] is None:
            assert body["overall_status"] in UNFINISHED
            del told["overall_status"]
        assert {field: body[field] for field in told} == told
        assert {essay["essay_id"] for essay in body["essays"]} == essays.keys()
        for essay in body["essays"]:
            line = essays[essay["essay_id"]]
            assert {field: essay[field] for field in line} == line


@pytest.mark.parametrize("name", INPUT)
def test_counts_are_those_of_the_essays_and_failures_are_explained(answers: Api, name: str) -> None:
    for batch_id, expected in expectations(name)["batches"].items():
        body = answers.get(f"/internal/v1/batches/{batch_id}/status").json()
        ready = expected["results_ready"]
        if "completed_essays" in ready and body["overall_status"] != "failed":
            done = ready["completed_essays"]
            assert body["completed_essay_count"] == done
            assert body["failed_essay_count"] == body["essay_count"] - done
        for essay in body["essays"]:
            error = essay["spellcheck_error_detail"]
            assert (error is not None) == (essay["spellcheck_status"] == "failed")
            if error is not None:
                assert error["error_code"] == "SPELLCHECK_SERVICE_ERROR"


@pytest.mark.parametrize("name", INPUT)
def test_lists_and_essays_say_what_the_batch_says(answers: Api, name: str) -> None:
    for batch_id, expected in expectations(name)["batches"].items():
        batch = answers.get(f"/internal/v1/batches/{batch_id}/status").json()
        mine = answers.get(f"/internal/v1/batches/user/{expected['user_id']}").json()
        check_body("user-batches", mine)
        assert batch in mine["batches"]
        essay = batch["essays"][0]
        analysis = answers.get(f"/internal/v1/essays/{essay['essay_id']}/aggregated-analysis").json()
        assert (analysis["batch_id"], analysis["batch_status"]) == (batch_id, batch["overall_status"])
        assert analysis["file"]["filename"] == essay["filename"]
        assert analysis["spellcheck"]["correction_count"] == essay["spellcheck_correction_count"]
        assert analysis["cj_assessment"]["rank"] == essay["cj_rank"]
        assert analysis["cj_assessment"]["bt_score"] == essay["cj_score"]
