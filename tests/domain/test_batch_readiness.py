"""When the batch is ready, how it ended, and how often that is said."""

from __future__ import annotations

from itertools import permutations

import pytest

from domain.batch_events import (
    AssessmentCompleted,
    AssessmentFailed,
    BatchAssessmentCompleted,
    BatchRegistered,
    BatchResultsReady,
    EssaySpellchecked,
    EssaySpellcheckFailed,
    PipelineCompleted,
)
from domain.values import BatchStatus, PhaseResult
from tests.support.given import (
    TEACHER,
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


def test_last_failed_essay_still_completes_the_batch() -> None:
    story = given(registered("e1", "e2"), spellchecked("e1"), assessed("e1"))

    story.when(spellcheck_failed("e2")).then(
        fact(EssaySpellcheckFailed, essay_id="e2"),
        fact(BatchResultsReady, overall_status=WITH_FAILURES, revision=1),
    )


def test_results_ready_says_whose_batch_it_is_and_how_each_phase_ended() -> None:
    story = given(
        registered("e1", "e2", "e3", class_id="class-9a"), spellchecked("e1"), spellcheck_failed("e2", at=12)
    )

    story.when(spellchecked("e3", at=11), assessed("e3", "e1", at=25)).then(
        fact(EssaySpellchecked),
        fact(AssessmentCompleted),
        fact(BatchAssessmentCompleted),
        fact(
            BatchResultsReady,
            user_id=TEACHER,
            class_id="class-9a",
            revision=1,
            overall_status=WITH_FAILURES,
            total_essays=3,
            completed_essays=2,
            phase_results=(result("spellcheck", 2, 1), result("cj_assessment", 2, 0)),
            processing_duration_seconds=25 * 60.0,
            happened_at=minute(25),
        ),
    )


MESSAGES = (registered("e1", "e2"), spellchecked("e1", at=9), spellchecked("e2"), assessed("e2", "e1"))


@pytest.mark.parametrize("order", list(permutations(range(len(MESSAGES)))))
def test_whichever_message_comes_last_completes_the_batch(order: tuple[int, ...]) -> None:
    *before, last = (MESSAGES[place] for place in order)
    batch = given(*before).batch
    ends = [batch.overall_status]

    ends.append(play([last], batch).overall_status)

    assert ends == [None, SUCCESS]
    assert batch.counts == (2, 2, 0)


def test_a_phase_outcome_is_not_needed_to_be_ready() -> None:
    given(*MESSAGES[:-1]).when(MESSAGES[-1]).then_announced(
        fact(BatchAssessmentCompleted), fact(BatchResultsReady, overall_status=SUCCESS)
    )


def test_a_late_phase_outcome_and_pipeline_message_add_nothing_to_say() -> None:
    story = given(*MESSAGES)

    story.when(
        phase_outcome("spellcheck"),
        phase_outcome("cj_assessment"),
        pipeline_completed("spellcheck", "cj_assessment"),
    ).then_announced()


def test_results_of_essays_that_nobody_registered_complete_nothing() -> None:
    given(registered("e1"), spellchecked("e1")).when(
        spellchecked("stranger"), spellcheck_failed("other")
    ).then_announced()


def test_an_unregistered_batch_is_never_ready() -> None:
    story = given(spellchecked("e1"), assessed("e1")).when(
        pipeline_completed("spellcheck", "cj_assessment", status=FAILED)
    )

    story.then(fact(PipelineCompleted))
    assert story.batch.overall_status is None


def test_a_batch_that_expects_no_essay_is_never_done() -> None:
    given(registered()).when(assessed(), pipeline_completed("spellcheck")).then_announced()


# Required phases.


def test_without_a_pipeline_message_spellcheck_alone_is_not_enough() -> None:
    given(registered("e1")).when(spellchecked("e1"), phase_outcome("spellcheck")).then_announced()


def test_the_pipeline_message_completes_a_batch_that_was_only_spellchecked() -> None:
    given(registered("e1", "e2"), spellchecked("e1"), spellcheck_failed("e2")).when(
        pipeline_completed("spellcheck")
    ).then(
        fact(PipelineCompleted),
        fact(
            BatchResultsReady,
            overall_status=WITH_FAILURES,
            completed_essays=1,
            phase_results=(result("spellcheck", 1, 1),),
        ),
    )


def test_a_pipeline_message_before_the_last_spellcheck_waits_for_it() -> None:
    story = given(registered("e1"), assessed("e1"), pipeline_completed("spellcheck", "cj_assessment"))

    story.when(spellchecked("e1")).then(fact(EssaySpellchecked), fact(BatchResultsReady, revision=1))


def test_a_pipeline_that_names_no_phase_leaves_the_default_in_force() -> None:
    story = given(registered("e1"), spellchecked("e1")).when(pipeline_completed())
    story.then_announced()

    story.when(assessed("e1")).then_announced(
        fact(BatchAssessmentCompleted),
        fact(BatchResultsReady, phase_results=(result("spellcheck", 1, 0), result("cj_assessment", 1, 0))),
    )


def test_phases_are_reported_in_pipeline_order_and_once_each() -> None:
    story = given(
        pipeline_completed("cj_assessment", "unheard_of", "nlp", "spellcheck", "nlp"),
        registered("e1"),
        spellchecked("e1"),
    )

    story.when(assessed("e1")).then_announced(
        fact(BatchAssessmentCompleted),
        fact(
            BatchResultsReady,
            phase_results=(
                result("spellcheck", 1, 0),
                result("nlp", 1, 0),
                result("cj_assessment", 1, 0),
                result("unheard_of", 1, 0),
            ),
        ),
    )


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
