"""The judging jobs of a batch in summary."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from application.enrichment import AssessmentSummary, essay_member, summary_of
from tests.support.assessing import PREFIX, Assessors, assessors_on
from tests.support.judging import Job, round_robin
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

ESSAYS = [f"essay-{number:02}" for number in range(1, 8)]
JUDGES = ["teacher-0007", "teacher-0008"]


@pytest.fixture(scope="module")
def assessors(postgres_server: PostgresServerUnderTest) -> Iterator[Assessors]:
    """One installation for the module; each test has a batch of its own."""
    with fresh_database(postgres_server.url) as url, assessors_on(url) as running:
        yield running


def test_a_batch_tells_its_jobs_the_newest_first(assessors: Assessors) -> None:
    old, new = Job("s-old", "two"), Job("s-new", "two")
    assessors.hear([*round_robin(old, ESSAYS, JUDGES), old.ends(*ESSAYS, model_version="2026-02-01")])
    position = assessors.hear([new.decides("e1", "e2"), new.fails("e1", "e3")])

    body = assessors.summary("two")

    running, finished = body["jobs"]
    assert (body["batch_id"], body["provenance"]["position"]) == ("two", position)
    assert [job["job_id"] for job in body["provenance"]["jobs"]] == ["s-new", "s-old"]
    assert (running["job_id"], running["state"], running["method"]) == ("s-new", "running", None)
    assert running["counts"]["failures"] == 1
    assert (finished["state"], finished["model"], finished["provider"], finished["model_version"]) == (
        "finished",
        "synthetic-model-1",
        "mock",
        "2026-02-01",
    )
    assert finished["assessed_at"] == "2026-03-07T08:50:00.000000Z"


def test_the_numbers_are_those_of_the_detailed_answer(assessors: Assessors) -> None:
    job = Job("s-same", "same")
    assessors.hear([*round_robin(job, ESSAYS, JUDGES), job.ends(*ESSAYS)])

    [summary], detailed = assessors.summary("same")["jobs"], assessors.detailed("s-same")

    assert summary["counts"] == detailed["counts"]
    assert summary["costs"] == detailed["costs"]
    assert summary["reliability"] == {name: detailed["reliability"][name] for name in summary["reliability"]}
    assert summary["provenance"] == detailed["provenance"]
    assert len(summary["ranking"]) == len(ESSAYS)
    for line, item in zip(summary["ranking"], detailed["items"], strict=True):
        assert {name: item[name] for name in line if name in item} == {
            name: value for name, value in line.items() if name in item
        }
        assert line["published_rank"] == item["published"]["rank"]
        assert line["letter_grade"] == item["published"]["letter_grade"]
    assert summary["misfits"]["items"] == [item["item"] for item in detailed["misfits"]["items"]]


def test_misfits_are_named(assessors: Assessors) -> None:
    job = Job("s-misfit", "misfit")
    good = [f"teacher-{number:04}" for number in range(10)]
    events = [
        job.decides(one, other, judge=judge)
        for judge in good
        for place, one in enumerate(ESSAYS)
        for other in ESSAYS[place + 1 :]
    ]
    contrary = [
        job.decides(other, one, judge="contrary")
        for place, one in enumerate(ESSAYS)
        for other in ESSAYS[place + 1 :]
    ]
    assessors.hear([*events, *contrary])

    [summary] = assessors.summary("misfit")["jobs"]

    assert summary["misfits"]["judges"] == ["contrary"]
    assert [judge["judge"] for judge in assessors.detailed("s-misfit")["judges"] if judge["flagged"]] == [
        "contrary"
    ]


def test_a_job_that_moves_to_its_batch_later_is_found_there(assessors: Assessors) -> None:
    orphan = Job("s-orphan", None)
    assessors.hear([orphan.decides("e1", "e2")])
    assert assessors.api.get(f"{PREFIX}/found/summary").status_code == 404
    assert assessors.detailed("s-orphan")["batch_id"] is None

    assessors.hear([orphan.ends("e1", "e2", batch_id="found")])

    assert [job["job_id"] for job in assessors.summary("found")["jobs"]] == ["s-orphan"]


def test_the_query_api_finds_an_essay_in_the_summary(assessors: Assessors) -> None:
    job = Job("s-enriched", "enriched")
    assessors.hear([*round_robin(job, ESSAYS, JUDGES), job.ends(*ESSAYS)])

    member = essay_member(summary_of("enriched", assessors.summary("enriched")), "essay-03")

    assert isinstance(summary_of("enriched", assessors.summary("enriched")), AssessmentSummary)
    assert b'"available":true' in member
    assert b'"essay":{"item":"essay-03"' in member


def test_the_etag_holds_until_an_event_of_any_job(assessors: Assessors) -> None:
    one, other = Job("s-etag-1", "etag"), Job("s-etag-2", "etag")
    assessors.hear([one.decides("e1", "e2"), other.decides("e1", "e2")])
    path = f"{PREFIX}/etag/summary"
    etag = assessors.api.get(path).headers["ETag"]

    assert assessors.api.get(path, If_None_Match=etag).status_code == 304
    assessors.hear([Job("s-elsewhere", "elsewhere").decides("e1", "e2")])
    assert assessors.api.get(path, If_None_Match=etag).status_code == 304
    assessors.hear([one.decides("e1", "e3")])
    assert assessors.api.get(path, If_None_Match=etag).status_code == 200
