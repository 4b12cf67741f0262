"""The judging job: answers known by their request, results by their time, drafts."""

from __future__ import annotations

from itertools import permutations

import pytest

from domain.assessment import AssessmentAggregate, assessment_stream_id, job_id_of
from domain.assessment_events import (
    AssessmentResultRecorded,
    JudgeDecisionFailed,
    JudgeDecisionRecorded,
    Side,
)
from domain.batch_events import MessageParked
from tests.golden.expected_events import EXPECTED
from tests.support.answers import STREAM, Answered, Assessed, Told, hear, standing
from tests.support.given import caused_by, minute


def test_streams_are_named_by_the_job() -> None:
    assert assessment_stream_id("164") == "assessment-164"
    assert job_id_of(assessment_stream_id("assessment-164")) == "assessment-164"


def test_a_decision_is_recorded_with_everything_upstream_said() -> None:
    [event] = hear([Answered("r1", Side.B, at=1)])

    assert isinstance(event, JudgeDecisionRecorded)
    assert (event.originator_id, event.originator_version) == (STREAM, 1)
    assert (event.happened_at, event.causation) == (minute(1), caused_by(0))
    assert (event.batch_id, event.request_id, event.winner) == ("b1", "r1", Side.B)
    assert (event.essay_a_id, event.essay_b_id, event.confidence) == ("e1", "e2", 2.5)
    assert (event.provider, event.model, event.total_tokens) == ("mock", "synthetic-model-1", 1745)


def test_a_failure_is_recorded_with_upstreams_account_of_it() -> None:
    [event] = hear([Answered("r1", None, at=1)])

    assert isinstance(event, JudgeDecisionFailed)
    assert (event.error_code, event.error["error_code"]) == ("TIMEOUT", "TIMEOUT")


def test_a_repeat_changes_nothing() -> None:
    assert len(hear([Answered("r1", at=1), Assessed(at=2), Answered("r1", at=1), Assessed(at=2)])) == 2


def test_a_pair_judged_again_under_a_new_request_is_a_new_decision() -> None:
    assert len(hear([Answered("r1", at=1), Answered("r2", at=1)])) == 2


def test_an_essay_against_itself_is_recorded() -> None:
    assert len(hear([Answered("r1", essays=("e1", "e1"), at=1)])) == 1


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (Answered("r1", Side.A, at=1), Answered("r1", Side.B, at=2)),
        (Answered("r1", Side.A, at=1), Answered("r1", None, at=2)),
        (Answered("r1", None, at=1), Answered("r1", Side.A, at=2)),
        (Assessed(("e1", "e2"), at=1), Assessed(("e2", "e1"), at=2)),
    ],
    ids=["another winner", "an error", "a decision after all", "another result"],
)
def test_the_newer_statement_stands_whichever_comes_first(older: Told, newer: Told) -> None:
    assert len(hear([older, newer])) == 2
    assert len(hear([newer, older])) == 1
    assert standing(hear([older, newer])) == standing(hear([newer, older]))


def test_of_answers_completed_at_the_same_moment_a_decision_stands_before_a_failure() -> None:
    decision, failure = Answered("r1", Side.A, at=1), Answered("r1", None, at=1)

    assert len(hear([failure, decision])) == 2
    assert len(hear([decision, failure])) == 1


def test_of_different_decisions_of_the_same_moment_the_same_one_stands_in_any_order() -> None:
    answers = [Answered("r1", Side.A, at=1, confidence=confidence) for confidence in (1.0, 2.0, 3.0)]

    outcomes = [standing(hear(order)) for order in permutations(answers)]

    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_the_order_of_members_makes_no_other_content() -> None:
    one = Answered("r1", at=1, metadata={"cj_batch_id": "164", "pair": 10**30, "a": [2]})
    same = Answered("r1", at=1, metadata={"a": [2], "pair": 10**30, "cj_batch_id": "164"})

    assert len(hear([one, same])) == len(hear([same, one])) == 1


def test_of_results_of_the_same_moment_the_first_stands() -> None:
    assert len(hear([Assessed(("e1", "e2"), at=1), Assessed(("e2", "e1"), at=1)])) == 1


def test_a_job_rebuilt_from_its_events_knows_what_it_knew() -> None:
    told = [Answered("r1", at=1), Answered("r2", None, at=2), Assessed(at=3)]
    job = AssessmentAggregate.replay(STREAM, hear(told))

    assert (job.version, job.size, job.assessed_at) == (3, 2, minute(3))
    assert hear(told, job) == []
    [event] = hear([Answered("r2", at=4)], job)
    assert event.originator_version == 4


# Drafts.


def job_of(*told: Told) -> AssessmentAggregate:
    """Return a settled job that has heard `told`."""
    job = AssessmentAggregate.replay(STREAM, hear(told))
    job.settle()
    return job


def test_what_is_decided_on_a_draft_is_unknown_behind_it_until_it_is_settled() -> None:
    job = job_of(Answered("r1", at=1))
    draft = job.draft()
    told = [Answered("r1", Side.B, at=2), Answered("r2", at=2), Assessed(at=3)]

    assert len(hear(told, draft)) == 3
    assert (job.version, job.size, job.assessed_at) == (1, 1, None)
    assert len(hear(told, job.draft())) == 3, "a draft that was dropped leaves no trace"


def test_a_settled_draft_goes_on_as_the_job() -> None:
    draft = job_of(Answered("r1", at=1)).draft()
    told = [Answered("r1", Side.B, at=2), Answered("r2", at=2), Assessed(at=3)]
    hear(told, draft)
    draft.settle()

    assert (draft.version, draft.size, draft.assessed_at) == (4, 2, minute(3))
    assert hear([Answered("r1", at=1), *told], draft.draft()) == []


def test_a_draft_takes_over_what_others_have_recorded_meanwhile() -> None:
    job = job_of(Answered("r1", at=1))
    theirs = hear([Answered("r2", at=2)], job_of(Answered("r1", at=1)))
    draft = job.draft()
    for event in theirs:
        draft.apply(event)

    [event] = hear([Answered("r2", at=2), Answered("r3", at=3)], draft)
    assert event.originator_version == 3


# Parking.


def test_a_parked_message_parks_the_job_and_its_drafts() -> None:
    job = job_of(Answered("r1", at=1))
    draft = job.draft()
    draft.park(
        reason="our own fault",
        key=None,
        value="e30=",
        headers=(),
        happened_at=minute(2),
        causation=caused_by(9),
    )
    [parked] = draft.collect_events()
    draft.settle()

    assert isinstance(parked, MessageParked)
    assert (parked.originator_id, parked.originator_version) == (STREAM, 2)
    assert not job.is_parked
    assert draft.is_parked
    assert draft.draft().is_parked


def test_an_event_of_another_kind_of_stream_is_refused() -> None:
    with pytest.raises(TypeError, match=r"ras\.inbox"):
        AssessmentAggregate(STREAM).apply(EXPECTED["ras.inbox.notification-read.v1"])


@pytest.mark.parametrize(
    "event_class", [AssessmentResultRecorded, JudgeDecisionFailed, JudgeDecisionRecorded]
)
def test_the_golden_events_can_be_folded(event_class: type[JudgeDecisionRecorded]) -> None:
    event = EXPECTED[event_class.topic]

    assert AssessmentAggregate.replay(STREAM, [event]).version == event.originator_version
