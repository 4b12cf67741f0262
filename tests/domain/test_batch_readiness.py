"""When the batch is ready: its required phases, and whichever message is the last to come."""

from __future__ import annotations

from itertools import permutations

import pytest

from domain.batch_events import (
    AssessmentCompleted,
    BatchAssessmentCompleted,
    BatchResultsReady,
    EssaySpellchecked,
    EssaySpellcheckFailed,
    PipelineCompleted,
)
from domain.values import BatchStatus, PhaseResult
from tests.support.given import (
    TEACHER,
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
