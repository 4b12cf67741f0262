"""Phases known only as a whole, and phase outcomes that disagree."""

from __future__ import annotations

from itertools import permutations

import pytest

from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady, PhaseConcluded
from domain.values import BatchStatus, PhaseResult
from tests.support.given import (
    Message,
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
CANCELLED = BatchStatus.CANCELLED
ALL_PHASES = ("spellcheck", "nlp", "cj_assessment")


def test_a_phase_without_results_per_essay_is_over_when_the_pipeline_names_it() -> None:
    given(registered("e1"), spellchecked("e1")).when(pipeline_completed("spellcheck", "nlp")).then_announced(
        fact(
            BatchResultsReady,
            overall_status=SUCCESS,
            phase_results=(
                PhaseResult(phase="spellcheck", completed_count=1, failed_count=0),
                PhaseResult(phase="nlp", completed_count=1, failed_count=0),
            ),
        )
    )


@pytest.mark.parametrize("phase", ["nlp", "ai_feedback", "student_matching"])
def test_an_essay_that_the_phase_outcome_names_as_failed_has_failed_there(phase: str) -> None:
    story = given(registered("e1", "e2"), spellchecked("e1"), spellchecked("e2"))

    story.when(
        phase_outcome(phase, WITH_FAILURES, failed=("e2", "stranger")),
        pipeline_completed("spellcheck", phase),
    ).then_announced(fact(BatchResultsReady, overall_status=WITH_FAILURES, completed_essays=1))
    assert story.batch.counts == (2, 1, 1)


def test_an_essay_that_failed_spellcheck_is_counted_in_no_later_phase() -> None:
    story = given(
        registered("e1", "e2", "e3"),
        spellchecked("e1"),
        spellchecked("e2"),
        spellcheck_failed("e3"),
        phase_outcome("nlp", processed=2),
        pipeline_completed(*ALL_PHASES),
    )

    story.when(assessed("e1", "e2")).then_announced(
        fact(BatchAssessmentCompleted),
        fact(
            BatchResultsReady,
            phase_results=(
                PhaseResult(phase="spellcheck", completed_count=2, failed_count=1),
                PhaseResult(phase="nlp", completed_count=2, failed_count=0),
                PhaseResult(phase="cj_assessment", completed_count=2, failed_count=0),
            ),
        ),
    )


def test_an_essay_that_failed_a_phase_in_between_is_terminal_in_judgement() -> None:
    story = given(
        pipeline_completed(*ALL_PHASES),
        registered("e1", "e2"),
        spellchecked("e1"),
        spellchecked("e2"),
        assessed("e1"),
    )

    story.when(phase_outcome("nlp", WITH_FAILURES, failed=("e2",), at=16)).then(fact(PhaseConcluded))
    assert story.batch.counts == (2, 1, 1)
    assert story.batch.overall_status is WITH_FAILURES


def test_a_phase_outcome_of_an_unfinished_phase_ends_nothing() -> None:
    story = given(registered("e1"), spellchecked("e1"), assessed("e1"))
    again = given(registered("e1"), spellchecked("e1"), assessed("e1"))

    story.when(phase_outcome("nlp", BatchStatus.PROCESSING_PIPELINES)).then(fact(PhaseConcluded))
    assert story.batch.overall_status is again.batch.overall_status


def test_the_phase_outcome_of_a_required_opaque_phase_counts_in_the_duration() -> None:
    story = given(pipeline_completed("spellcheck", "nlp", at=14), registered("e1"))

    story.when(phase_outcome("nlp", at=40), spellchecked("e1")).then_announced(
        fact(BatchResultsReady, happened_at=minute(40), processing_duration_seconds=40 * 60.0)
    )


# A phase outcome has no time of its own: the graver of two wins, in whichever order they come.


@pytest.mark.parametrize(
    ("milder", "graver"),
    [
        pytest.param(
            phase_outcome("nlp", BatchStatus.PROCESSING_PIPELINES),
            phase_outcome("nlp", SUCCESS),
            id="unfinished-success",
        ),
        pytest.param(
            phase_outcome("nlp", SUCCESS), phase_outcome("nlp", WITH_FAILURES), id="success-failures"
        ),
        pytest.param(
            phase_outcome("nlp", WITH_FAILURES), phase_outcome("nlp", CANCELLED), id="failures-cancelled"
        ),
        pytest.param(phase_outcome("nlp", CANCELLED), phase_outcome("nlp", FAILED), id="cancelled-failed"),
        pytest.param(
            phase_outcome("nlp", processed=1), phase_outcome("nlp", processed=2), id="fewer-processed"
        ),
        pytest.param(
            phase_outcome("nlp", WITH_FAILURES, failed=("e1",)),
            phase_outcome("nlp", WITH_FAILURES, failed=("e1", "e2")),
            id="fewer-failed",
        ),
    ],
)
def test_the_graver_phase_outcome_wins_in_either_order(milder: Message, graver: Message) -> None:
    given(milder).when(graver).then(fact(PhaseConcluded))
    given(graver).when(milder).then()


def test_a_phase_outcome_sent_again_later_is_a_repeat() -> None:
    given(phase_outcome("nlp", failed=("e1", "e2"), at=15)).when(
        phase_outcome("nlp", failed=("e2", "e1", "e2"), at=55)
    ).then()


def test_outcomes_of_different_phases_do_not_compete() -> None:
    given(phase_outcome("nlp", FAILED)).when(phase_outcome("spellcheck", SUCCESS)).then(
        fact(PhaseConcluded, phase="spellcheck", status=SUCCESS, processed_count=0, failed_essay_ids=())
    )


def test_disagreeing_outcomes_end_alike_in_any_order() -> None:
    outcomes = (
        phase_outcome("nlp", WITH_FAILURES, failed=("e1",)),
        phase_outcome("nlp", SUCCESS),
        phase_outcome("nlp", WITH_FAILURES, failed=("e2",)),
    )
    before = (registered("e1", "e2"), spellchecked("e1"), spellchecked("e2"))
    ends = set()
    for order in permutations(outcomes):
        batch = play([*before, *order, pipeline_completed("spellcheck", "nlp")])
        ends.add((batch.overall_status, batch.counts))

    assert ends == {(WITH_FAILURES, (2, 1, 1))}
