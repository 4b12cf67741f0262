"""Operators killed at any step, and judging jobs that wait: what was put aside is ingested once all the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from application import drain as drain_module
from application import topics
from application.deciding import Intake, letter_id
from application.drain import DrainParked
from application.settle import SettleDeadLetters
from application.translate import translate
from domain.aggregate import DomainEvent
from domain.assessment import AssessmentAggregate, assessment_stream_id
from domain.assessment_events import AssessmentResultRecorded
from domain.batch import BatchAggregate, batch_stream_id
from domain.batch_events import BatchResultsReady, MessageDrained, MessageParked
from domain.dead_letters import DeadLetterRetried, LetterSettledError, RetryOutcome
from domain.values import BatchStatus
from tests.support.fake_store import FakeEventStore, Step
from tests.support.ingesting import (
    Ingestion,
    batch_of,
    in_partitions,
    intake_of,
    intakes_of,
    messages_of,
    small_batch,
)

TOLERANCE = timedelta(days=365)
BY = "operator-0001"


class KilledError(Exception):
    """The process is gone at this step; nobody catches this."""


class Killing:
    """Ends the process at one step of its work, counted from the first."""

    def __init__(self, at: int | None = None) -> None:
        self.steps = 0
        self._at = at

    def __call__(self, _step: Step) -> None:
        self.steps += 1
        if self.steps - 1 == self._at:
            raise KilledError


def steps_of(prepared: Callable[[], FakeEventStore], work: Callable[[FakeEventStore], object]) -> int:
    """Return how many steps `work` takes on a prepared store."""
    store, counting = prepared(), Killing()
    store.on_step = counting
    work(store)
    return counting.steps


def killed_at(
    fatal: int, prepared: Callable[[], FakeEventStore], work: Callable[[FakeEventStore], object]
) -> FakeEventStore:
    """Return a prepared store on which `work` was killed at a step."""
    store = prepared()
    store.on_step = Killing(fatal)
    with pytest.raises(KilledError):
        work(store)
    store.on_step = lambda _step: None
    return store


def of_type(store: FakeEventStore, *classes: type[DomainEvent]) -> list[DomainEvent]:
    """Return the recorded events of some classes."""
    return [event for event in store.events if isinstance(event, classes)]


# Retries.


def with_a_letter() -> FakeEventStore:
    """A store with a batch whose last spellcheck was put aside for now."""
    store = FakeEventStore()
    messages = in_partitions(messages_of(small_batch()))
    intakes = [intake_of(message) for message in messages]
    last = max(n for n, message in enumerate(messages) if message.topic == topics.SPELLCHECK_RESULTS)
    late = messages[last]
    intakes[last] = Intake(late, translate(late, received_at=late.timestamp - timedelta(days=800)))
    Ingestion(store).insist(intakes)
    return store


LETTER = letter_id(
    [m for m in in_partitions(messages_of(small_batch())) if m.topic == topics.SPELLCHECK_RESULTS][-1]
)


def retry(store: FakeEventStore) -> RetryOutcome:
    """Take the letter in again."""
    return SettleDeadLetters(store, future_tolerance=TOLERANCE).retry(LETTER, by=BY).outcome


def test_a_retry_killed_at_any_step_has_happened_wholly_or_not_at_all() -> None:
    steps = steps_of(with_a_letter, retry)
    assert steps >= len(Step) - 2
    lost_answers = 0
    for fatal in range(steps):
        store = killed_at(fatal, with_a_letter, retry)
        done = len(of_type(store, DeadLetterRetried))
        assert len(of_type(store, BatchResultsReady)) == done
        if done:
            lost_answers += 1
            with pytest.raises(LetterSettledError):
                retry(store)
        else:
            assert retry(store) is RetryOutcome.RECORDED
        assert len(of_type(store, BatchResultsReady)) == len(of_type(store, DeadLetterRetried)) == 1
    assert lost_answers == 1, "the commit was made and its answer lost"


# Drains.


def break_spellchecks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make our own code fail on every spellcheck of a batch."""

    def fail(_batch: BatchAggregate, **_facts: Any) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(BatchAggregate, "record_spellcheck", fail)


def test_a_drain_killed_at_any_step_goes_on_behind_what_was_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drain_module, "_AT_ONCE", 3)
    script = small_batch("sick", essays=4)
    intakes = intakes_of(messages_of(script))
    stream = batch_stream_id(script.batch_id)

    def prepared() -> FakeEventStore:
        store = FakeEventStore()
        with monkeypatch.context() as patch:
            break_spellchecks(patch)
            Ingestion(store).insist(intakes)
        return store

    def drain(store: FakeEventStore) -> int:
        drained = DrainParked(store, future_tolerance=TOLERANCE)(stream, by=BY)
        assert (drained.left, drained.fault) == (0, None)
        return sum(drained.outcomes.values())

    steps = steps_of(prepared, drain)
    assert steps > 15
    for fatal in range(steps):
        store = killed_at(fatal, prepared, drain)
        done = len(of_type(store, MessageDrained))
        assert done % 3 == 0 or done == len(of_type(store, MessageParked))
        assert drain(store) == len(of_type(store, MessageParked)) - done
        parked = [event.originator_version for event in of_type(store, MessageParked)]
        assert [e.parked_version for e in store.events if isinstance(e, MessageDrained)] == parked
        assert len(of_type(store, BatchResultsReady)) == 1
        assert batch_of(store, script).overall_status is BatchStatus.COMPLETED_SUCCESSFULLY


def test_a_judging_job_is_drained_and_the_batch_that_took_the_message_is_not_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One message speaks to both; our code failed on the job alone."""
    script = small_batch("judged")
    store = FakeEventStore()

    def fail(_job: AssessmentAggregate, **_facts: Any) -> None:
        raise KeyError("bug")

    with monkeypatch.context() as patch:
        patch.setattr(AssessmentAggregate, "record_result", fail)
        Ingestion(store).insist(intakes_of(messages_of(script)))
    assert batch_of(store, script).overall_status is BatchStatus.COMPLETED_SUCCESSFULLY
    before = store.stream(batch_stream_id(script.batch_id))
    job = assessment_stream_id(script.job_id)
    assert [type(event) for event in store.events if event.originator_id == job][-1] is MessageParked

    drained = DrainParked(store, future_tolerance=TOLERANCE)(job, by=BY)

    assert (sum(drained.outcomes.values()), drained.left) == (1, 0)
    recorded = [type(event) for event in store.events if event.originator_id == job]
    assert recorded[-2:] == [AssessmentResultRecorded, MessageDrained]
    assert store.stream(batch_stream_id(script.batch_id)) == before
    assert not AssessmentAggregate.replay(
        job, [event for event in store.events if event.originator_id == job]
    ).is_parked
