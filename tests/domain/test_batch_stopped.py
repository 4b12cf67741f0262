"""Critical failure and cancellation: upstream may stop a batch whatever its essays say."""

from __future__ import annotations

import pytest

from domain.batch_events import (
    AssessmentFailed,
    BatchRegistered,
    BatchResultsReady,
    EssaySpellcheckFailed,
    PhaseConcluded,
    PipelineCompleted,
)
from domain.values import BatchStatus
from tests.support.given import (
    Message,
    assessed,
    fact,
    given,
    minute,
    phase_outcome,
    pipeline_completed,
    registered,
    spellcheck_failed,
    spellchecked,
)

SUCCESS = BatchStatus.COMPLETED_SUCCESSFULLY
WITH_FAILURES = BatchStatus.COMPLETED_WITH_FAILURES
FAILED = BatchStatus.FAILED_CRITICALLY
CANCELLED = BatchStatus.CANCELLED

STOPS = [
    pytest.param(phase_outcome("spellcheck", FAILED, failed=("e1",)), FAILED, id="failed-phase"),
    pytest.param(phase_outcome("nlp", FAILED), FAILED, id="failed-opaque-phase"),
    pytest.param(phase_outcome("cj_assessment", CANCELLED), CANCELLED, id="cancelled-phase"),
    pytest.param(pipeline_completed(status=FAILED, at=15), FAILED, id="failed-pipeline"),
    pytest.param(
        pipeline_completed("spellcheck", status=CANCELLED, at=15), CANCELLED, id="cancelled-pipeline"
    ),
]


@pytest.mark.parametrize(("stop", "status"), STOPS)
def test_a_stopped_batch_is_ready_at_once(stop: Message, status: BatchStatus) -> None:
    given(registered("e1", "e2")).when(stop).then_announced(
        fact(
            BatchResultsReady,
            overall_status=status,
            revision=1,
            total_essays=2,
            completed_essays=0,
            happened_at=minute(15),
        )
    )


@pytest.mark.parametrize(("stop", "status"), STOPS)
def test_a_stop_before_the_registration_waits_for_it(stop: Message, status: BatchStatus) -> None:
    story = given(stop)
    assert story.batch.overall_status is None

    story.when(registered("e1", "e2")).then(
        fact(BatchRegistered), fact(BatchResultsReady, overall_status=status, revision=1)
    )


@pytest.mark.parametrize(("stop", "status"), STOPS)
def test_results_after_the_stop_are_recorded_but_change_no_outcome(
    stop: Message, status: BatchStatus
) -> None:
    story = given(registered("e1", "e2"), stop)

    story.when(spellchecked("e1"), spellcheck_failed("e2")).then_announced()
    assert story.batch.overall_status is status
    assert story.batch.counts[2] == 1


@pytest.mark.parametrize(("stop", "status"), STOPS)
def test_a_stop_after_the_batch_was_ready_is_a_revision(stop: Message, status: BatchStatus) -> None:
    story = given(registered("e1"), spellchecked("e1"), assessed("e1"))

    story.when(stop).then_announced(fact(BatchResultsReady, overall_status=status, revision=2))


def test_a_batch_that_expects_no_essay_can_still_be_stopped() -> None:
    given(registered()).when(pipeline_completed(status=CANCELLED)).then_announced(
        fact(BatchResultsReady, overall_status=CANCELLED, total_essays=0)
    )


def test_the_last_of_all_essays_to_fail_fails_the_batch_critically_without_waiting_for_upstream() -> None:
    given(registered("e1", "e2"), spellcheck_failed("e1")).when(spellcheck_failed("e2")).then(
        fact(EssaySpellcheckFailed),
        fact(BatchResultsReady, overall_status=FAILED, revision=1, completed_essays=0),
    )


def test_upstreams_word_of_a_critical_failure_repeats_what_the_essays_said() -> None:
    story = given(registered("e1"), spellcheck_failed("e1"))

    story.when(phase_outcome("spellcheck", FAILED, failed=("e1",))).then(fact(PhaseConcluded))


def test_a_job_that_ranked_nobody_fails_the_batch_critically_where_every_essay_got_there() -> None:
    given(registered("e1", "e2"), spellchecked("e1"), spellchecked("e2")).when(assessed()).then(
        fact(AssessmentFailed), fact(BatchResultsReady, overall_status=FAILED)
    )


def test_essays_that_failed_in_different_phases_are_failures_not_a_critical_one() -> None:
    given(registered("e1", "e2"), spellchecked("e1"), spellcheck_failed("e2")).when(
        assessed()
    ).then_announced(fact(BatchResultsReady, overall_status=WITH_FAILURES, completed_essays=0))


@pytest.mark.parametrize(
    "contradiction",
    [
        pytest.param(phase_outcome("spellcheck", WITH_FAILURES), id="phase-with-failures"),
        pytest.param(phase_outcome("spellcheck", SUCCESS), id="phase-success"),
        pytest.param(pipeline_completed("spellcheck", status=SUCCESS), id="pipeline-success"),
        pytest.param(pipeline_completed("spellcheck", status=WITH_FAILURES), id="pipeline-with-failures"),
    ],
)
def test_all_essays_failing_is_no_critical_failure_where_upstream_said_otherwise(
    contradiction: Message,
) -> None:
    given(registered("e1"), contradiction).when(spellcheck_failed("e1")).then_announced(
        fact(BatchResultsReady, overall_status=WITH_FAILURES, revision=1)
    )


def test_upstreams_contradiction_afterwards_is_a_revision() -> None:
    given(registered("e1"), spellcheck_failed("e1")).when(
        phase_outcome("spellcheck", WITH_FAILURES)
    ).then_announced(fact(BatchResultsReady, overall_status=WITH_FAILURES, revision=2))


def test_the_outcome_of_another_phase_does_not_contradict_a_critical_failure() -> None:
    given(registered("e1"), phase_outcome("student_matching", SUCCESS)).when(
        spellcheck_failed("e1")
    ).then_announced(fact(BatchResultsReady, overall_status=FAILED))


def test_a_newer_pipeline_message_takes_back_a_cancellation() -> None:
    story = given(registered("e1"), spellchecked("e1"), pipeline_completed("spellcheck", status=CANCELLED))

    story.when(pipeline_completed("spellcheck", at=31)).then(
        fact(PipelineCompleted), fact(BatchResultsReady, overall_status=SUCCESS, revision=2)
    )


def test_the_pipelines_word_goes_before_a_phases() -> None:
    given(registered("e1"), phase_outcome("nlp", FAILED)).when(
        pipeline_completed(status=CANCELLED)
    ).then_announced(fact(BatchResultsReady, overall_status=CANCELLED, revision=2))


def test_a_failed_phase_goes_before_a_cancelled_one() -> None:
    story = given(phase_outcome("nlp", CANCELLED), phase_outcome("spellcheck", FAILED))

    story.when(registered("e1")).then_announced(fact(BatchResultsReady, overall_status=FAILED))


def test_a_stopped_batch_ended_when_it_was_stopped() -> None:
    story = given(registered("e1"), phase_outcome("spellcheck", SUCCESS, at=50))

    story.when(phase_outcome("cj_assessment", FAILED, at=20)).then_announced(
        fact(BatchResultsReady, happened_at=minute(20), processing_duration_seconds=20 * 60.0)
    )
