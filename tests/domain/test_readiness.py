"""Why is the batch ready, why not? The answer names what is missing and what would bring it on."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given as hypothesis_given

from domain.batch import BatchAggregate
from domain.batch_events import BatchRegistered, MessageParked
from domain.batch_state import BatchState
from domain.readiness import Message, Readiness, explain
from domain.values import BatchStatus
from tests.golden.expected_events import EXPECTED
from tests.properties.upstream_batches import fickle_batches
from tests.support.given import Message as Said
from tests.support.given import (
    assessed,
    phase_outcome,
    pipeline_completed,
    play,
    registered,
    spellcheck_failed,
    spellchecked,
)

EVERYBODY = ("e1", "e2", "e3")


def explained(*messages: Said, named: int | None = 10) -> Readiness:
    """Return the explanation of a batch that heard `messages`."""
    return explain_batch(play(messages), named=named)


def explain_batch(batch: BatchAggregate, named: int | None = 10) -> Readiness:
    """Return the explanation of what `batch` has recorded."""
    events = batch.collect_events()
    state = BatchState()
    expected: tuple[str, ...] = ()
    for event in events:
        state.evolve(event)
        if isinstance(event, BatchRegistered):
            expected = event.essay_ids
    return explain(state, expected, named=named)


def missing(readiness: Readiness) -> dict[str, tuple[str, ...]]:
    """Return which essays miss which phase."""
    return {phase.phase: phase.missing for phase in readiness.phases}


def awaited(readiness: Readiness) -> list[tuple[Message, str | None, int]]:
    """Return what the batch waits for."""
    return [(each.message, each.phase, each.count) for each in readiness.awaited]


def test_a_batch_of_which_nothing_but_the_registration_is_known_misses_everything() -> None:
    readiness = explained(registered(*EVERYBODY))

    assert not readiness.is_ready
    assert missing(readiness) == {"spellcheck": EVERYBODY, "cj_assessment": EVERYBODY}
    assert awaited(readiness) == [
        (Message.SPELLCHECK_RESULT, "spellcheck", 3),
        (Message.ASSESSMENT_RESULT, "cj_assessment", 1),
    ]
    assert readiness.sentences == (
        "The batch is not ready: 3 of 3 essays still lack a result, 0 are done, 0 failed.",
        "3 essays without a result in spellcheck: e1, e2, e3.",
        "3 essays without a result in cj_assessment: e1, e2, e3.",
        "Required: spellcheck and cj_assessment, the default, because no pipeline message has come.",
    )


def test_an_essay_that_failed_its_spellcheck_is_not_missed_later() -> None:
    readiness = explained(registered(*EVERYBODY), spellcheck_failed("e1"), spellchecked("e2"))

    assert missing(readiness) == {"spellcheck": ("e3",), "cj_assessment": ("e2", "e3")}
    assert {phase.phase: phase.failed for phase in readiness.phases} == {
        "spellcheck": ("e1",),
        "cj_assessment": (),
    }


def test_one_spellcheck_that_never_came_is_named_although_the_ranking_is_there() -> None:
    readiness = explained(
        registered(*EVERYBODY), spellchecked("e1"), spellchecked("e2"), assessed("e1", "e2", "e3")
    )

    assert missing(readiness) == {"spellcheck": ("e3",), "cj_assessment": ()}
    assert awaited(readiness) == [(Message.SPELLCHECK_RESULT, "spellcheck", 1)]
    assert (readiness.completed, readiness.pending, readiness.ranked) == (2, 1, 3)


def test_a_ready_batch_says_how_it_ended_and_waits_for_nothing() -> None:
    readiness = explained(
        registered("e1", "e2"), spellchecked("e1"), spellcheck_failed("e2"), assessed("e1", job="job-7")
    )

    assert readiness.is_ready
    assert awaited(readiness) == []
    assert readiness.sentences == (
        "The batch is ready: completed with failures, 1 of 2 essays done, 1 failed.",
        "RAS has announced this as revision 1.",
        "1 essay failed in spellcheck: e2.",
        "Required: spellcheck and cj_assessment, the default, because no pipeline message has come.",
        "The newest comparative-judgement result is of job job-7: 1 essay ranked.",
    )


def test_a_stopped_batch_is_ready_although_results_are_missing() -> None:
    stopped = pipeline_completed("spellcheck", status=BatchStatus.CANCELLED)
    readiness = explained(registered("e1"), stopped)

    assert readiness.is_ready
    assert "Upstream stopped it (cancelled), whatever its essays say." in readiness.sentences
    assert awaited(readiness) == []


def test_what_is_known_of_an_unregistered_batch_is_said() -> None:
    readiness = explained(spellchecked("e1"), spellcheck_failed("e2"), assessed("e1"))

    assert (readiness.is_registered, readiness.is_ready) == (False, False)
    assert readiness.unexpected == ("e1", "e2")
    assert awaited(readiness) == [(Message.REGISTRATION, None, 1)]
    assert readiness.sentences[:3] == (
        "The batch is not ready: it is not registered, so neither its teacher nor its essays are known.",
        "2 essays heard of: e1, e2.",
        "2 spellcheck results kept, 1 of them failed.",
    )


def test_a_batch_without_essays_waits_for_nothing_and_says_so() -> None:
    readiness = explained(registered())

    assert (readiness.is_ready, awaited(readiness)) == (False, [])
    assert "names no essay" in readiness.sentences[0]


def test_essays_that_the_registration_does_not_name_are_named() -> None:
    readiness = explained(registered("e1"), spellchecked("stranger"))

    assert readiness.unexpected == ("stranger",)
    assert any("stranger" in sentence for sentence in readiness.sentences)


def test_a_batch_that_a_new_registration_opened_again_says_so() -> None:
    readiness = explained(registered("e1"), spellchecked("e1"), assessed("e1"), registered("e1", "e2", at=30))

    assert not readiness.is_ready
    assert (readiness.announced_status, readiness.revision) == (BatchStatus.COMPLETED_SUCCESSFULLY, 1)
    assert any("opened it again" in sentence for sentence in readiness.sentences)


def test_what_upstream_says_of_a_phase_stands_beside_what_the_essays_say() -> None:
    outcome = phase_outcome("spellcheck", BatchStatus.COMPLETED_WITH_FAILURES, failed=["e2"], at=15)
    readiness = explained(registered("e1", "e2"), spellchecked("e1"), outcome)

    [spellcheck] = [phase for phase in readiness.phases if phase.phase == "spellcheck"]
    assert (spellcheck.said, spellcheck.missing) == (BatchStatus.COMPLETED_WITH_FAILURES, ("e2",))
    assert "Upstream called the phase spellcheck completed with failures." in readiness.sentences


def test_long_lists_are_named_in_part_and_given_whole() -> None:
    essays = [f"e{number:05}" for number in range(10_000)]
    readiness = explained(registered(*essays), named=2)

    assert missing(readiness)["spellcheck"] == tuple(essays)
    assert (
        "10,000 essays without a result in spellcheck: e00000, e00001 and 9,998 more." in readiness.sentences
    )


def test_parked_messages_are_the_reason_where_there_are_some() -> None:
    golden = EXPECTED[MessageParked.topic]
    assert isinstance(golden, MessageParked)
    parked = [replace(golden, fault="KeyError", reason="KeyError: 'Kim'"), golden]

    readiness = explain(BatchState(), (), parked)

    assert readiness.parked == 2
    assert "2 messages of this batch wait because our own code failed (KeyError)" in readiness.sentences[-1]
    assert "Kim" not in str(readiness)


@hypothesis_given(fickle_batches())
def test_whatever_is_told_the_explanation_agrees_with_the_batch(story: tuple[Said, ...]) -> None:
    batch = play(story)
    counts, status = batch.counts, batch.overall_status
    readiness = explain_batch(batch)

    assert (readiness.expected, readiness.completed, readiness.failed) == counts
    assert readiness.overall_status == status
    named = {essay for phase in readiness.phases for essay in phase.missing}
    assert len(named) == readiness.pending
    assert sum(len(phase.failed) for phase in readiness.phases) == readiness.failed
    if not readiness.is_ready and readiness.expected:
        assert readiness.awaited
