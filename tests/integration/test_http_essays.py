"""The aggregated analysis of an essay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.given import (
    assessed,
    phase_outcome,
    pipeline_completed,
    ranked,
    registered,
    slot_assigned,
    spellcheck_failed,
    spellchecked,
)
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.school import School, school_on


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    """One installation for the module; each test has batches, essays and a teacher of its own."""
    with fresh_database(postgres_server.url) as url, school_on(url) as running:
        yield running


def test_everything_known_of_an_essay(school: School) -> None:
    school.hear(
        "whole",
        registered("whole-1", "whole-2", class_id="class-9b"),
        slot_assigned("whole-1", "essay-01.docx"),
        spellchecked("whole-1", corrections=7),
        spellchecked("whole-2"),
        assessed(
            "whole-2", ranked("ANCHOR_1", 2, is_anchor=True), ranked("whole-1", 3, grade="C"), job="job-9"
        ),
    )

    assert school.analysis("whole-1") == {
        "essay_id": "whole-1",
        "batch_id": "whole",
        "user_id": "teacher-0007",
        "class_id": "class-9b",
        "course_code": "ENG5",
        "assignment_id": None,
        "batch_status": "completed_successfully",
        "essay_status": "completed",
        "file": {"filename": "essay-01.docx", "file_upload_id": "upload-1", "text_storage_id": "text-1"},
        "spellcheck": {
            "status": "completed",
            "correction_count": 7,
            "corrected_text_storage_id": "text-2",
            "metrics": {
                "total_corrections": 7,
                "l2_dictionary_corrections": 0,
                "spellchecker_corrections": 7,
                "word_count": 100,
                "correction_density": 7.0,
            },
            "error_detail": None,
            "checked_at": "2026-03-07T08:10:00Z",
        },
        "cj_assessment": {
            "status": "completed",
            "job_id": "job-9",
            "rank": 3,
            "ranked_essays": 2,
            "bt_score": 0.7,
            "normalized_score": 0.5,
            "letter_grade": "C",
            "confidence_score": 0.9,
            "confidence_label": "HIGH",
            "assessed_at": "2026-03-07T08:20:00Z",
        },
        "last_updated": "2026-03-07T08:20:00Z",
        "owner_user_id": "teacher-0007",
        "corrected_text_storage_id": "text-2",
        "original_text_storage_id": "text-1",
        "student_prompt_ref": None,
        "word_count": 100,
        "nlp_metrics": None,
        "grammar_analysis": None,
        "spelling_errors": [],
        "cj_ranking": {
            "job_id": "job-9",
            "rank": 3,
            "ranked_essays": 2,
            "percentile": 0.0,
            "score": 0.7,
            "letter_grade": "C",
            "confidence_score": 0.9,
            "confidence_label": "HIGH",
            "comparison_count": 0,
            "relative_strengths": [],
            "relative_weaknesses": [],
        },
    }


def test_an_essay_of_which_nothing_has_come_is_pending(school: School) -> None:
    school.hear("fresh", registered("fresh-1"))

    body = school.analysis("fresh-1")
    assert (body["essay_status"], body["batch_status"]) == ("pending", "pending_content")
    assert set(body["file"].values()) == {None}
    assert body["spellcheck"]["status"] is body["cj_assessment"]["status"] is None


def test_a_failed_spellcheck_is_explained(school: School) -> None:
    school.hear(
        "failed",
        registered("failed-1"),
        spellcheck_failed("failed-1", error_info={"error_message": "The text is empty.", "code": 7}),
    )

    body = school.analysis("failed-1")
    error = body["spellcheck"]["error_detail"]
    assert body["essay_status"] == "failed"
    assert (error["error_code"], error["message"]) == ("SPELLCHECK_SERVICE_ERROR", "The text is empty.")
    assert error["details"] == {"error_message": "The text is empty.", "code": 7}


@pytest.mark.parametrize("phase", ["student_matching", "nlp", "ai_feedback"])
def test_an_essay_that_failed_in_a_phase_without_results_of_its_own_has_failed(
    school: School, phase: str
) -> None:
    good, bad = f"{phase}-good", f"{phase}-bad"
    school.hear(
        phase,
        registered(good, bad),
        spellchecked(good),
        spellchecked(bad),
        phase_outcome(phase, failed=[bad]),
        assessed(good, bad),
        pipeline_completed("spellcheck", "cj_assessment", phase),
    )

    assert school.analysis(good)["essay_status"] == "completed"
    assert school.analysis(bad)["essay_status"] == "failed"


def test_an_essay_in_two_batches_of_a_teacher_answers_from_the_newest(school: School) -> None:
    school.hear("newer", registered("twice", at=30), spellchecked("twice", at=31, corrections=2))
    school.hear("older", registered("twice", at=0), spellchecked("twice", at=40, corrections=9))
    school.hear("unregistered", spellchecked("twice", at=50))

    body = school.analysis("twice")
    assert (body["batch_id"], body["spellcheck"]["correction_count"]) == ("newer", 2)
    older = school.analysis("twice", "?batch_id=older")
    assert (older["batch_id"], older["spellcheck"]["correction_count"]) == ("older", 9)


def test_an_essay_that_no_registration_names_is_not_found(school: School) -> None:
    school.hear("known", registered("known-1"), spellchecked("stranger"))
    school.hear("unknown", spellchecked("lonely"))

    for essay_id in ("stranger", "lonely", "never-heard-of", "%E2%82%AC"):
        response = school.api.get(f"/internal/v1/essays/{essay_id}/aggregated-analysis")
        assert (response.status_code, response.json()["error"]) == (404, "Essay not found")


def test_an_essay_that_a_later_registration_leaves_out_is_not_found(school: School) -> None:
    school.hear("shrinking", registered("stays", "leaves"))
    assert school.analysis("leaves")["batch_id"] == "shrinking"
    school.hear("shrinking", registered("stays", at=5))

    assert school.api.get("/internal/v1/essays/leaves/aggregated-analysis").status_code == 404
    assert school.analysis("stays")["batch_id"] == "shrinking"


@pytest.mark.parametrize("essay_id", ["%00", "x" * 256])
def test_what_cannot_be_an_id_is_a_bad_request(school: School, essay_id: str) -> None:
    response = school.api.get(f"/internal/v1/essays/{essay_id}/aggregated-analysis")
    assert response.status_code == 400
    assert response.json()["error"] == "Invalid essay ID"


def test_the_etag_changes_when_the_batch_does(school: School) -> None:
    path = "/internal/v1/essays/tagged-1/aggregated-analysis"
    school.hear("tagged", registered("tagged-1", "tagged-2"), spellchecked("tagged-1"))
    etag = school.api.get(path).headers["ETag"]
    assert school.api.get(path, If_None_Match=etag).status_code == 304

    school.hear("tagged", spellchecked("tagged-2"), assessed("tagged-1", "tagged-2"))
    assert school.api.get(path, If_None_Match=etag).status_code == 200
