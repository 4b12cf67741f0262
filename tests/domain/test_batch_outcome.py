"""How the batch ended, which its essays decide, and how often that is said."""

from __future__ import annotations

from itertools import permutations

import pytest

from domain.batch_events import (
    AssessmentFailed,
    BatchAssessmentCompleted,
    BatchRegistered,
    BatchResultsReady,
    EssaySpellchecked,
)
from domain.values import BatchStatus, PhaseResult
from tests.support.given import (
    Message,
    announced,
    assessed,
    fact,
    given,
    minute,
    phase_outcome,
    pipeline_completed,
    play,
    registered,
    spellcheck_failed,
    spellchecked,
)

SUCCESS = BatchStatus.COMPLETED_SUCCESSFULLY
WITH_FAILURES = BatchStatus.COMPLETED_WITH_FAILURES
FAILED = BatchStatus.FAILED_CRITICALLY


def result(phase: str, completed: int, failed: int) -> PhaseResult:
    """How one phase ended."""
    return PhaseResult(phase=phase, completed_count=completed, failed_count=failed)


# Statuses come from the essays.


def test_upstreams_success_is_not_believed_where_an_essay_failed() -> None:
    given(registered("e1", "e2"), spellchecked("e1"), spellcheck_failed("e2"), assessed("e1")).when(
        pipeline_completed("spellcheck", "cj_assessment", status=SUCCESS)
    ).then_announced()


def test_upstreams_failures_are_not_believed_where_every_essay_succeeded() -> None:
    story = given(registered("e1"), spellchecked("e1"))

    story.when(
        pipeline_completed("spellcheck", status=WITH_FAILURES), phase_outcome("spellcheck", WITH_FAILURES)
    ).then_announced(fact(BatchResultsReady, overall_status=SUCCESS))


def test_an_essay_that_failed_spellcheck_is_terminal_in_judgement() -> None:
    given(registered("e1", "e2"), spellchecked("e1"), spellcheck_failed("e2")).when(
        assessed("e1")
    ).then_announced(
        fact(BatchAssessmentCompleted),
        fact(
            BatchResultsReady,
            phase_results=(result("spellcheck", 1, 1), result("cj_assessment", 1, 0)),
        ),
    )


def test_an_expected_essay_that_the_assessment_leaves_out_failed_there() -> None:
    given(registered("e1", "e2"), spellchecked("e1"), spellchecked("e2")).when(assessed("e1")).then_announced(
        fact(BatchAssessmentCompleted),
        fact(
            BatchResultsReady,
            overall_status=WITH_FAILURES,
            completed_essays=1,
            phase_results=(result("spellcheck", 2, 0), result("cj_assessment", 1, 1)),
        ),
    )


def test_a_left_out_essay_waits_for_its_spellcheck_and_may_have_failed_that() -> None:
    given(registered("e1", "e2"), spellchecked("e1"), assessed("e1")).when(
        spellcheck_failed("e2")
    ).then_announced(
        fact(
            BatchResultsReady,
            phase_results=(result("spellcheck", 1, 1), result("cj_assessment", 1, 0)),
        ),
    )


def test_an_assessment_that_ranks_no_student_fails_judgement_for_everyone_who_got_there() -> None:
    given(registered("e1", "e2"), spellchecked("e1"), spellcheck_failed("e2")).when(assessed()).then(
        fact(AssessmentFailed, job_id="job-1"),
        fact(
            BatchResultsReady,
            overall_status=WITH_FAILURES,
            completed_essays=0,
            phase_results=(result("spellcheck", 1, 1), result("cj_assessment", 0, 1)),
        ),
    )


@pytest.mark.parametrize(
    ("pipeline", "last"),
    [
        pytest.param((), assessed("e1"), id="default"),
        pytest.param((pipeline_completed("spellcheck"),), spellchecked("e1"), id="spellcheck-only"),
    ],
)
def test_no_essay_is_counted_twice(pipeline: tuple[Message, ...], last: Message) -> None:
    story = given(registered("e1", "e2"), spellchecked("e1"), spellcheck_failed("e2"), *pipeline).when(last)

    total, completed, failed = story.batch.counts
    assert (total, completed, failed) == (2, 1, 1)


# Once per outcome.


def test_a_superseding_result_that_changes_the_outcome_is_announced_as_a_revision() -> None:
    story = given(registered("e1", "e2"), spellchecked("e1"), spellcheck_failed("e2"), assessed("e1", "e2"))

    story.when(spellchecked("e2", at=11)).then(
        fact(EssaySpellchecked, essay_id="e2"),
        fact(BatchResultsReady, overall_status=SUCCESS, revision=2, completed_essays=2),
    )


def test_an_outcome_that_comes_back_is_a_revision_again() -> None:
    story = given(registered("e1", "e2"), spellchecked("e1"), spellcheck_failed("e2"), assessed("e1", "e2"))

    story.when(spellchecked("e2", at=11), spellcheck_failed("e2", at=12)).then_announced(
        fact(BatchResultsReady, overall_status=SUCCESS, revision=2),
        fact(BatchResultsReady, overall_status=WITH_FAILURES, revision=3),
    )


def test_a_change_of_counts_alone_is_not_announced() -> None:
    story = given(
        registered("e1", "e2", "e3"),
        spellchecked("e1"),
        spellcheck_failed("e2"),
        spellcheck_failed("e3"),
        assessed("e1", "e2", "e3"),
    )

    story.when(spellchecked("e2", at=11)).then(fact(EssaySpellchecked, essay_id="e2"))
    assert story.batch.counts == (3, 2, 1)


def test_a_newer_registration_changes_the_essays_expected() -> None:
    story = given(registered("e1", "e2"), spellchecked("e1"), assessed("e1"))
    assert story.batch.overall_status is None

    story.when(registered("e1", at=5)).then_announced(
        fact(BatchResultsReady, overall_status=SUCCESS, total_essays=1, completed_essays=1)
    )


def test_registration_last_announces_everything_that_waited() -> None:
    given(spellchecked("e1"), assessed("e1"), phase_outcome("spellcheck")).when(registered("e1")).then(
        fact(BatchRegistered),
        fact(BatchAssessmentCompleted),
        fact(BatchResultsReady, happened_at=minute(20), processing_duration_seconds=20 * 60.0),
    )


def test_a_fact_about_another_batchs_essay_does_not_lengthen_the_processing() -> None:
    durations = set()
    for messages in permutations((spellchecked("stranger", at=50), assessed("e1", at=20))):
        batch = play([registered("e1"), spellchecked("e1"), *messages])
        durations |= {
            event.processing_duration_seconds
            for event in announced(batch.collect_events())
            if isinstance(event, BatchResultsReady)
        }

    assert durations == {20 * 60.0}


def test_the_outcome_of_a_phase_known_essay_by_essay_does_not_lengthen_the_processing() -> None:
    given(registered("e1"), phase_outcome("spellcheck", at=50), spellchecked("e1")).when(
        assessed("e1")
    ).then_announced(fact(BatchAssessmentCompleted), fact(BatchResultsReady, happened_at=minute(20)))
