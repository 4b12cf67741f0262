"""The language analysis in an essay's answer, and the names of upstream's decision on AI feedback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from application.contracts.enums import CourseCode
from domain.language_analysis import MOST_SPELLING_ERRORS
from tests.support.given import assessed, ranked, registered, slot_assigned, spellchecked
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.school import METRICS, MISSPELT, UNGRAMMATICAL, School, school_on


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    """One installation for the module; each test has batches, essays and a teacher of its own."""
    with fresh_database(postgres_server.url) as url, school_on(url) as running:
        yield running


class _SpellingError(BaseModel):
    word: str
    suggestions: list[str]
    error_type: str
    context: str


class _Ranking(BaseModel):
    rank: int
    percentile: float
    score: float
    relative_strengths: list[str]
    relative_weaknesses: list[str]
    comparison_count: int


class _AggregatedEssay(BaseModel):
    """What upstream plans to read, by its decision on AI feedback."""

    essay_id: str
    batch_id: str
    corrected_text_storage_id: str
    original_text_storage_id: str
    student_prompt_ref: dict[str, Any] | None
    nlp_metrics: dict[str, Any]
    spelling_errors: list[_SpellingError]
    cj_ranking: _Ranking | None
    owner_user_id: str
    course_code: CourseCode
    word_count: int


def test_metrics_and_counts_are_shown_and_the_errors_only_where_they_are_asked_for(school: School) -> None:
    school.hear("shown", registered("shown-1"))
    school.analyse(
        "shown-1", words=271, errors=[MISSPELT, UNGRAMMATICAL], categories={"TYPOS": 1, "GRAMMAR": 1}
    )

    body = school.analysis("shown-1")
    assert body["nlp_metrics"] == {**METRICS, "word_count": 271}
    assert body["grammar_analysis"] == {
        "error_count": 2,
        "language": "en-GB",
        "processing_time_ms": 90,
        "grammar_category_counts": {"TYPOS": 1, "GRAMMAR": 1},
        "grammar_rule_counts": None,
        "analysed_at": "2026-03-07T08:15:00Z",
        "text_storage_id": "text-2",
    }
    whole = school.analysis("shown-1", "?include=grammar_errors")
    assert whole["grammar_analysis"] == {**body["grammar_analysis"], "errors": [MISSPELT, UNGRAMMATICAL]}
    assert {**whole, "grammar_analysis": None} == {**body, "grammar_analysis": None}


def test_the_assessment_and_the_errors_can_be_asked_for_together(school: School) -> None:
    school.hear("both", registered("both-1"))
    school.analyse("both-1", errors=[MISSPELT])

    body = school.analysis("both-1", "?include=grammar_errors,assessment")

    assert body["assessment"]["available"] is False
    assert body["grammar_analysis"]["errors"] == [MISSPELT]
    refused = school.api.get("/internal/v1/essays/both-1/aggregated-analysis?include=essays")
    assert refused.status_code == 400
    assert "grammar_errors" in refused.json()["detail"]
    of_status = school.api.get("/internal/v1/batches/both/status?include=grammar_errors")
    assert of_status.status_code == 400


def test_upstreams_planned_client_takes_the_answer(school: School) -> None:
    school.hear(
        "client",
        registered("client-1", "client-2"),
        slot_assigned("client-1"),
        spellchecked("client-1"),
        spellchecked("client-2"),
        assessed(ranked("client-1", 1), ranked("client-2", 2)),
    )
    school.analyse("client-1", words=345, errors=[MISSPELT, UNGRAMMATICAL])

    read = _AggregatedEssay.model_validate(school.analysis("client-1"))

    assert (read.owner_user_id, read.course_code, read.word_count) == ("teacher-0007", CourseCode.ENG5, 345)
    assert (read.original_text_storage_id, read.corrected_text_storage_id) == ("text-1", "text-2")
    assert [(error.word, error.suggestions) for error in read.spelling_errors] == [
        ("thier", ["their", "there"])
    ]
    assert read.cj_ranking is not None
    assert (read.cj_ranking.rank, read.cj_ranking.percentile) == (1, 100.0)


def test_without_an_analysis_the_spellcheck_has_counted_the_words(school: School) -> None:
    school.hear("counted", registered("counted-1", "counted-2"), spellchecked("counted-1"))

    assert school.analysis("counted-1")["word_count"] == 100
    assert school.analysis("counted-2")["word_count"] is None
    assert school.analysis("counted-2")["cj_ranking"] is None


def test_an_analysis_may_come_before_the_registration_and_a_newer_one_replaces_it(school: School) -> None:
    school.analyse("early-1", at=5, words=1)
    school.hear("early", registered("early-1"))
    assert school.analysis("early-1")["word_count"] == 1

    school.analyse("early-1", at=9, words=3)
    school.analyse("early-1", at=7, words=2)
    assert school.analysis("early-1")["word_count"] == 3
    school.analyse("early-1", at=11, words=4, text="text-of-another-upload")
    assert school.analysis("early-1")["word_count"] == 4


def test_an_analysis_of_an_essay_that_is_in_no_batch_is_not_shown(school: School) -> None:
    school.analyse("alone-1")

    assert school.api.get("/internal/v1/essays/alone-1/aggregated-analysis").status_code == 404


def test_categories_are_counted_where_upstream_did_not(school: School) -> None:
    school.hear("uncounted", registered("uncounted-1"))
    school.analyse("uncounted-1", errors=[UNGRAMMATICAL, MISSPELT, UNGRAMMATICAL])

    counts = school.analysis("uncounted-1")["grammar_analysis"]["grammar_category_counts"]
    assert counts == {"GRAMMAR": 2, "TYPOS": 1}


def test_an_answer_stays_small_however_many_errors_there_are(school: School) -> None:
    school.hear("large", registered("large-1"))
    school.analyse("large-1", errors=[{**MISSPELT, "offset": number} for number in range(5000)])
    path = "/internal/v1/essays/large-1/aggregated-analysis"

    usual, whole = school.api.get(path), school.api.get(path + "?include=grammar_errors")

    assert len(usual.json()["spelling_errors"]) == MOST_SPELLING_ERRORS
    assert len(usual.content) < 20_000
    assert len(whole.json()["grammar_analysis"]["errors"]) == 5000


def test_the_etag_and_the_position_follow_the_analysis(school: School) -> None:
    school.hear("tagged", registered("tagged-1"))
    path = "/internal/v1/essays/tagged-1/aggregated-analysis"
    before = school.api.get(path)

    [recorded] = school.analyse("tagged-1")
    after = school.api.get(path, If_None_Match=before.headers["ETag"])

    assert after.status_code == 200
    assert after.headers["RAS-Position"] == str(recorded.notification_id)


def test_the_coming_feedback_service_may_ask(school: School) -> None:
    school.hear("asked", registered("asked-1"))

    response = school.api.get(
        "/internal/v1/essays/asked-1/aggregated-analysis", service="ai-feedback-service"
    )
    assert response.status_code == 200
