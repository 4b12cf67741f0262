"""The rules of completion as pure functions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from domain.completion import (
    Requirements,
    Standing,
    State,
    Tally,
    completion_status,
)
from domain.completion import (
    requirements as requirements_of,
)
from domain.values import BatchStatus, PhaseResult, in_pipeline_order

SUCCESS = BatchStatus.COMPLETED_SUCCESSFULLY
WITH_FAILURES = BatchStatus.COMPLETED_WITH_FAILURES
FAILED = BatchStatus.FAILED_CRITICALLY
CANCELLED = BatchStatus.CANCELLED


def requirements(
    *phases: str,
    ranked: frozenset[str] | None = None,
    concluded: tuple[str, ...] = (),
    failed_in: Mapping[str, frozenset[str]] | None = None,
) -> Requirements:
    """What essays are measured against, the default phases where none are named."""
    return Requirements(
        phases or ("spellcheck", "cj_assessment"), ranked, frozenset(concluded), failed_in or {}
    )


def tally(*standings: Standing) -> Tally:
    """Count these essays."""
    counted = Tally()
    for standing in standings:
        counted.count(standing)
    return counted


DONE = Standing(State.COMPLETED, ("spellcheck", "cj_assessment"), None)
WAITING = Standing(State.PENDING, ("spellcheck",), None)
MISSPELT = Standing(State.FAILED, (), "spellcheck")
LEFT_OUT = Standing(State.FAILED, ("spellcheck",), "cj_assessment")


def required(
    *named: str,
    outcomes: tuple[str, ...] = (),
    spellchecked: bool = False,
    ranked: frozenset[str] | None = None,
) -> tuple[str, ...]:
    """Return the phases that a batch needs."""
    found = requirements_of(
        named,
        dict.fromkeys(outcomes, ()),
        spellchecked=spellchecked,
        ranked=ranked,
    )
    return found.phases


def test_the_default_is_required_until_a_pipeline_message_names_phases() -> None:
    assert required() == ("spellcheck", "cj_assessment")
    assert required("nlp") == ("nlp",)


def test_the_named_phases_are_required_in_pipeline_order() -> None:
    assert required("ai_feedback", "spellcheck") == ("spellcheck", "ai_feedback")


def test_a_phase_whose_results_are_in_is_required_although_no_pipeline_names_it() -> None:
    assert required("nlp") == ("nlp",)
    assert required("nlp", spellchecked=True) == ("spellcheck", "nlp")
    assert required("nlp", ranked=frozenset()) == ("nlp", "cj_assessment")
    assert required("nlp", outcomes=("ai_feedback",)) == ("nlp", "ai_feedback")


def test_the_outcome_of_a_phase_that_is_known_essay_by_essay_is_no_result() -> None:
    assert required("nlp", outcomes=("spellcheck", "cj_assessment")) == ("nlp",)


def test_unknown_phases_come_last_by_name() -> None:
    assert in_pipeline_order(("zeta", "nlp", "alpha", "student_matching")) == (
        "student_matching",
        "nlp",
        "alpha",
        "zeta",
    )


@pytest.mark.parametrize(
    ("spellchecked", "ranked", "expected"),
    [
        (None, None, Standing(State.PENDING, (), None)),
        (True, None, WAITING),
        (False, None, MISSPELT),
        (True, frozenset({"e1"}), DONE),
        (True, frozenset({"e2"}), LEFT_OUT),
        (False, frozenset({"e2"}), MISSPELT),
        (None, frozenset({"e2"}), Standing(State.PENDING, (), None)),
    ],
)
def test_an_essay_is_terminal_when_it_passed_every_phase_or_failed_one(
    spellchecked: bool | None, ranked: frozenset[str] | None, expected: Standing
) -> None:
    assert requirements(ranked=ranked).standing("e1", spellchecked=spellchecked) == expected


@pytest.mark.parametrize(
    ("concluded", "failed_in", "state"),
    [
        ((), {}, State.PENDING),
        ((), {"nlp": frozenset({"e1"})}, State.PENDING),
        (("nlp",), {}, State.COMPLETED),
        (("nlp",), {"nlp": frozenset({"e2"})}, State.COMPLETED),
        (("nlp",), {"nlp": frozenset({"e1"})}, State.FAILED),
    ],
)
def test_an_opaque_phase_is_known_by_its_end_and_its_failures(
    concluded: tuple[str, ...], failed_in: dict[str, frozenset[str]], state: State
) -> None:
    measured = requirements("nlp", concluded=concluded, failed_in=failed_in)

    assert measured.standing("e1", spellchecked=None).state is state


def test_a_failed_essay_never_got_to_a_later_opaque_phase() -> None:
    measured = requirements("spellcheck", "nlp", concluded=("nlp",))

    assert measured.standing("e1", spellchecked=False) == MISSPELT


def test_counting_an_essay_out_undoes_counting_it_in() -> None:
    counted = tally(DONE, MISSPELT)
    counted.count(DONE, -1)
    counted.count(LEFT_OUT)

    assert counted.total == 2
    assert (counted.pending, counted.completed, counted.failed) == (0, 0, 2)
    assert counted.phase_results(("spellcheck", "nlp", "cj_assessment")) == (
        PhaseResult(phase="spellcheck", completed_count=1, failed_count=1),
        PhaseResult(phase="cj_assessment", completed_count=0, failed_count=1),
    )


@pytest.mark.parametrize(
    ("failed", "status"), [(0, "completed"), (1, "completed_with_failures"), (3, "completed_with_failures")]
)
def test_a_phase_with_failures_says_so(failed: int, status: str) -> None:
    assert PhaseResult(phase="spellcheck", completed_count=2, failed_count=failed).status == status


@pytest.mark.parametrize(
    ("counted", "pipeline", "phases", "expected"),
    [
        (tally(), None, {}, None),
        (tally(), SUCCESS, {}, None),
        (tally(DONE, WAITING), None, {}, None),
        (tally(DONE, WAITING), SUCCESS, {"spellcheck": SUCCESS}, None),
        (tally(DONE, DONE), None, {}, SUCCESS),
        (tally(DONE, DONE), WITH_FAILURES, {"spellcheck": WITH_FAILURES}, SUCCESS),
        (tally(DONE, LEFT_OUT), SUCCESS, {}, WITH_FAILURES),
        (tally(MISSPELT, LEFT_OUT), None, {}, WITH_FAILURES),
        (tally(MISSPELT, MISSPELT), None, {}, FAILED),
        (tally(LEFT_OUT, LEFT_OUT), None, {"spellcheck": SUCCESS}, FAILED),
        (tally(MISSPELT), None, {"spellcheck": WITH_FAILURES}, WITH_FAILURES),
        (tally(MISSPELT), SUCCESS, {}, WITH_FAILURES),
        (tally(MISSPELT), None, {"spellcheck": BatchStatus.PROCESSING_PIPELINES}, FAILED),
        (tally(MISSPELT), BatchStatus.PROCESSING_PIPELINES, {}, FAILED),
    ],
)
def test_the_essays_decide_how_a_batch_ended(
    counted: Tally,
    pipeline: BatchStatus | None,
    phases: dict[str, BatchStatus],
    expected: BatchStatus | None,
) -> None:
    assert completion_status(counted, pipeline=pipeline, phases=phases) is expected


@pytest.mark.parametrize("status", BatchStatus)
def test_only_the_last_four_statuses_end_a_phase_and_two_stop_the_batch(status: BatchStatus) -> None:
    assert status.ends_a_phase is (status in {SUCCESS, WITH_FAILURES, FAILED, CANCELLED})
    assert status.stops_the_batch is (status in {FAILED, CANCELLED})
