"""The ranking that is announced: students of this batch only, once per job and content."""

from __future__ import annotations

from domain.batch_events import (
    AssessmentCompleted,
    AssessmentFailed,
    BatchAssessmentCompleted,
    BatchRegistered,
    BatchResultsReady,
)
from domain.values import Ranking
from tests.support.given import (
    TEACHER,
    assessed,
    fact,
    given,
    minute,
    pipeline_completed,
    ranked,
    registered,
    spellchecked,
)


def line(essay_id: str, rank: int, grade: str = "B") -> Ranking:
    """One line of the announced ranking, as `ranked` gives the result behind it."""
    return Ranking(
        essay_id=essay_id,
        rank=rank,
        score=1.0 - rank / 10,
        letter_grade=grade,
        confidence_score=0.9,
        confidence_label="HIGH",
    )


def test_the_ranking_leaves_out_anchors_and_keeps_the_gaps() -> None:
    anchors = (ranked("a-1", 1, is_anchor=True), ranked("ANCHOR_9", 3))

    given(registered("e1", "e2", class_id="class-9a")).when(
        assessed(anchors[0], ranked("e2", 2), anchors[1], ranked("e1", 4, grade="C+"))
    ).then(
        fact(AssessmentCompleted, job_id="job-1"),
        fact(
            BatchAssessmentCompleted,
            user_id=TEACHER,
            class_id="class-9a",
            job_id="job-1",
            rankings=(line("e2", 2), line("e1", 4, "C+")),
            happened_at=minute(20),
        ),
    )


def test_the_assessment_is_recorded_whole_anchors_and_strangers_included() -> None:
    results = (ranked("ANCHOR_1", 1), ranked("stranger", 2), ranked("e1", 3))

    given(registered("e1")).when(assessed(*results)).then(
        fact(AssessmentCompleted, results=results),
        fact(BatchAssessmentCompleted, rankings=(line("e1", 3),)),
    )


def test_a_ranking_of_strangers_alone_is_not_announced() -> None:
    given(registered("e1")).when(assessed("stranger", "other")).then(fact(AssessmentCompleted))


def test_an_assessment_before_the_registration_waits_for_it() -> None:
    story = given().when(assessed("e1", "e2"))
    story.then(fact(AssessmentCompleted))

    story.when(registered("e1", "e2", at=22)).then(
        fact(BatchRegistered),
        fact(BatchAssessmentCompleted, rankings=(line("e1", 1), line("e2", 2)), happened_at=minute(22)),
    )


def test_a_ranking_is_announced_though_the_batch_is_not_ready() -> None:
    story = given(registered("e1", "e2")).when(assessed("e1", "e2"))

    story.then_announced(fact(BatchAssessmentCompleted))
    assert story.batch.overall_status is None


def test_a_ranking_that_the_pipeline_did_not_name_is_announced_and_is_a_new_outcome() -> None:
    given(registered("e1"), spellchecked("e1"), pipeline_completed("spellcheck")).when(
        assessed("e1")
    ).then_announced(fact(BatchAssessmentCompleted), fact(BatchResultsReady, revision=2, job_id="job-1"))


def test_the_same_ranking_assessed_again_is_not_announced_again() -> None:
    given(registered("e1", "e2"), assessed("e1", "e2")).when(assessed("e1", "e2", at=21)).then(
        fact(AssessmentCompleted, happened_at=minute(21))
    )


def test_anchors_that_change_do_not_make_a_new_ranking() -> None:
    given(registered("e1"), assessed(ranked("ANCHOR_1", 1), ranked("e1", 2))).when(
        assessed(ranked("ANCHOR_2", 1), ranked("e1", 2), at=21)
    ).then_announced()


def test_a_newer_job_is_announced_even_with_the_same_ranking() -> None:
    given(registered("e1"), assessed("e1")).when(assessed("e1", job="job-2", at=21)).then_announced(
        fact(BatchAssessmentCompleted, job_id="job-2")
    )


def test_a_newer_ranking_of_the_same_job_is_announced() -> None:
    given(registered("e1", "e2"), assessed("e1", "e2")).when(assessed("e2", "e1", at=21)).then_announced(
        fact(BatchAssessmentCompleted, job_id="job-1", rankings=(line("e2", 1), line("e1", 2)))
    )


def test_an_older_job_that_arrives_late_is_not_announced() -> None:
    given(registered("e1"), assessed("e1", job="new", at=21)).when(assessed("e1", job="old")).then()


def test_a_newer_registration_announces_the_ranking_of_its_own_essays() -> None:
    given(registered("e1", "e2"), assessed("e1", "e2")).when(registered("e2", at=1)).then(
        fact(BatchRegistered), fact(BatchAssessmentCompleted, rankings=(line("e2", 2),))
    )


def test_the_ranking_is_announced_before_the_outcome_that_rests_on_it() -> None:
    given(registered("e1"), spellchecked("e1")).when(assessed("e1")).then(
        fact(AssessmentCompleted), fact(BatchAssessmentCompleted), fact(BatchResultsReady)
    )


def test_a_job_that_ranked_nobody_has_failed_and_announces_no_ranking() -> None:
    given(registered("e1")).when(assessed()).then(fact(AssessmentFailed, job_id="job-1"))


def test_a_job_that_ranked_only_anchors_has_failed() -> None:
    given(registered("e1")).when(assessed(ranked("ANCHOR_1", 1), ranked("a-2", 2, is_anchor=True))).then(
        fact(AssessmentFailed)
    )


def test_a_failed_job_is_superseded_by_a_newer_one() -> None:
    given(registered("e1"), assessed()).when(assessed("e1", job="job-2", at=21)).then(
        fact(AssessmentCompleted), fact(BatchAssessmentCompleted, job_id="job-2")
    )
