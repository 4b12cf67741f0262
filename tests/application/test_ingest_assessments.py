"""Judges' answers on their way into the store, and messages that concern a batch and a job at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from application.deciding import Intake
from application.ports import IntakeCounts
from application.topics import ASSESSMENT_RESULT
from domain.assessment import AssessmentAggregate
from domain.assessment_events import (
    AssessmentResultRecorded,
    JudgeDecisionFailed,
    JudgeDecisionRecorded,
    Side,
)
from domain.batch import BatchAggregate
from domain.batch_events import AssessmentCompleted, MessageParked
from domain.dead_letters import MessageDeadLettered, Reason
from domain.values import BatchStatus
from tests.support.answers import standing
from tests.support.fake_store import FakeEventStore, FakeTransaction
from tests.support.ingesting import (
    Ingestion,
    batch_of,
    intake_of,
    intakes_of,
    messages_of,
    small_batch,
    take_in_cuts,
    total,
)
from tests.support.upstream import expectations, scenario

EXPECTED = expectations("comparisons-120")


@pytest.fixture
def store() -> FakeEventStore:
    """An empty store."""
    return FakeEventStore()


def answers() -> list[Intake]:
    """Return the scenario's messages, in three partitions as a producer without keys spreads them."""
    intakes = []
    for line in scenario("comparisons-120"):
        message = replace(line.message, partition=line.number % 3, offset=line.number // 3)
        intakes.append(intake_of(message))
    return intakes


def wins(store: FakeEventStore) -> Counter[str]:
    """Return how often each essay won, by the decisions that stand."""
    decided = [
        facts for facts in standing(store.events).values() if facts["topic"] == JudgeDecisionRecorded.topic
    ]
    return Counter(f["essay_a_id"] if f["winner"] is Side.A else f["essay_b_id"] for f in decided)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_each_request_is_answered_once(store: FakeEventStore, size: int) -> None:
    take_in_cuts(Ingestion(store), answers(), [size] * (120 // size))

    kinds = Counter(type(event) for event in store.events)
    assert kinds == {JudgeDecisionRecorded: EXPECTED["successes"], JudgeDecisionFailed: EXPECTED["errors"]}
    assert len(standing(store.events)) == EXPECTED["distinct_request_ids"]
    assert {event.originator_id for event in store.events} == {f"assessment-{EXPECTED['cj_batch_id']}"}
    assert [event.originator_version for event in store.events] == list(range(1, 109))
    assert wins(store) == EXPECTED["wins"]
    assert total(store) == IntakeCounts(taken_in=120, recorded=108, repeated=12)


def test_two_ingesters_at_work_on_one_job_come_to_what_one_comes_to(store: FakeEventStore) -> None:
    intakes = answers()
    shares = [
        [i for i in intakes if i.message.partition == 0],
        [i for i in intakes if i.message.partition != 0],
    ]
    one, two = Ingestion(store), Ingestion(store)
    conflicts = 0
    for step in range(0, 80, 5):
        conflicts += one.insist(shares[0][step : step + 5]).conflicts
        conflicts += two.insist(shares[1][step : step + 5]).conflicts

    assert conflicts > 0
    assert wins(store) == EXPECTED["wins"]
    assert total(store) == IntakeCounts(taken_in=120, recorded=108, repeated=12)


def test_after_a_conflict_only_what_the_other_added_is_read(
    store: FakeEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    intakes = answers()
    mine, theirs = ([i for i in intakes if i.message.partition == partition] for partition in (0, 1))
    one, two = Ingestion(store), Ingestion(store)
    one.insist(mine[:20])
    two.insist(theirs[:5])
    at_hand = len([event for event in store.events if event.causation.partition == 0])
    asked: list[dict[str, int]] = []
    load = FakeTransaction.load

    def spied(transaction: FakeTransaction, after: Mapping[str, int], *, most: int) -> Any:
        asked.append(dict(after))
        return load(transaction, after, most=most)

    monkeypatch.setattr(FakeTransaction, "load", spied)
    taken = one.insist(mine[20:])

    assert taken.conflicts == 1
    assert asked == [{f"assessment-{EXPECTED['cj_batch_id']}": at_hand}]


@pytest.mark.parametrize("seed", range(5))
def test_any_order_leaves_the_same_standing(store: FakeEventStore, seed: int) -> None:
    shuffled = [
        replace(i, message=replace(i.message, partition=0, offset=offset))
        for offset, i in enumerate(Random(seed).sample(answers(), 120))
    ]
    Ingestion(store).insist(shuffled)

    assert wins(store) == EXPECTED["wins"]
    assert len(store.events) == EXPECTED["distinct_request_ids"]


# One message, two aggregates.


def test_a_result_is_recorded_in_its_batch_and_in_its_job_and_counted_once(store: FakeEventStore) -> None:
    script = small_batch()
    intakes = intakes_of(messages_of(script))
    Ingestion(store).insist(intakes)

    ranked, concluded = (
        event for event in store.events if isinstance(event, AssessmentCompleted | AssessmentResultRecorded)
    )
    assert isinstance(ranked, AssessmentCompleted)
    assert isinstance(concluded, AssessmentResultRecorded)
    assert ranked.causation == concluded.causation
    told = {(e.causation.topic, e.causation.partition, e.causation.offset) for e in store.events}
    assert total(store).recorded == len(told)


def test_a_result_that_the_batch_knows_already_is_a_repeat_in_both(store: FakeEventStore) -> None:
    intakes = intakes_of(messages_of(small_batch()))
    again = [replace(i, message=replace(i.message, partition=7)) for i in intakes]
    ingestion = Ingestion(store)
    ingestion.insist(intakes)
    recorded = len(store.events)
    ingestion.insist(again)

    assert len(store.events) == recorded
    assert total(store).recorded == total(store).taken_in - total(store).repeated
    assert total(store).repeated >= len(again)


class BugError(Exception):
    """Our own code is wrong."""


def broken(monkeypatch: pytest.MonkeyPatch, kind: type[Any], command: str) -> None:
    """Make one command of an aggregate fail half-way."""
    original = getattr(kind, command)

    def fail(aggregate: Any, *args: Any, **facts: Any) -> None:
        original(aggregate, *args, **facts)
        raise BugError("half-way")

    monkeypatch.setattr(kind, command, fail)


def parked_in(store: FakeEventStore) -> list[str]:
    """Return the streams in which messages wait."""
    return [event.originator_id for event in store.events if isinstance(event, MessageParked)]


def test_a_bug_of_the_job_parks_the_result_there_and_the_batch_goes_on(
    store: FakeEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = small_batch()
    intakes = intakes_of(messages_of(script))
    broken(monkeypatch, AssessmentAggregate, "record_result")
    Ingestion(store).insist(intakes)

    assert parked_in(store) == [f"assessment-{script.job_id}"]
    assert batch_of(store, script).overall_status is BatchStatus.COMPLETED_SUCCESSFULLY
    assert not any(isinstance(event, AssessmentResultRecorded) for event in store.events)
    assert total(store) == IntakeCounts(taken_in=len(intakes), recorded=len(intakes) - 1, parked=1)


def test_a_bug_of_the_batch_parks_the_result_there_and_the_job_goes_on(
    store: FakeEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = small_batch()
    intakes = intakes_of(messages_of(script))
    broken(monkeypatch, BatchAggregate, "record_assessment")
    Ingestion(store).insist(intakes)

    waiting = intakes[[i.message.topic for i in intakes].index(ASSESSMENT_RESULT) :]
    assert parked_in(store) == [f"batch-{script.batch_id}"] * len(waiting)
    assert any(isinstance(event, AssessmentResultRecorded) for event in store.events)
    assert total(store).parked == len(waiting)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_bug_parks_an_answer_and_what_follows_for_its_job(
    store: FakeEventStore, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    intakes = answers()
    ingestion = Ingestion(store)
    take_in_cuts(ingestion, intakes[:60], [size] * (60 // size))
    before = len(store.events)
    broken(monkeypatch, AssessmentAggregate, "record_decision")
    take_in_cuts(ingestion, [*intakes[60:], *intakes_of(messages_of(small_batch()))], [size] * (60 // size))

    assert parked_in(store) == [f"assessment-{EXPECTED['cj_batch_id']}"] * 60
    job = [e for e in store.events if e.originator_id == f"assessment-{EXPECTED['cj_batch_id']}"]
    assert [e.originator_version for e in job] == list(range(1, before + 61))
    assert batch_of(store, small_batch()).overall_status is BatchStatus.COMPLETED_SUCCESSFULLY


def test_an_answer_that_the_store_refuses_becomes_a_dead_letter_alone(store: FakeEventStore) -> None:
    intakes = answers()
    value = (intakes[50].message.value or b"").replace(
        b'"cj_source": "els"', b'"cj_source": [1e999, %d]' % 10**30
    )
    assert value != intakes[50].message.value
    intakes[50] = intake_of(replace(intakes[50].message, value=value))
    Ingestion(store).insist(intakes)

    [letter] = [event for event in store.events if isinstance(event, MessageDeadLettered)]
    assert letter.reason is Reason.NOT_STORABLE
    assert total(store).dead_lettered == 1
    assert total(store).taken_in == 120
