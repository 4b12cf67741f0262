"""Taking in micro-batches: what is recorded and counted, and how several ingesters share a batch."""

from __future__ import annotations

from datetime import datetime
from uuid import NAMESPACE_OID, uuid5

import pytest

from application import topics
from application.ports import IntakeCounts
from domain.batch_events import BatchProgressed, BatchResultsReady
from domain.values import BatchStatus
from infrastructure.demo.script import START
from infrastructure.demo.upstream import sent_again
from tests.support.fake_store import FakeEventStore, Step
from tests.support.ingesting import (
    Ingestion,
    batch_of,
    dead_letter,
    events_of,
    intakes_of,
    messages_of,
    small_batch,
    total,
)


@pytest.fixture
def store() -> FakeEventStore:
    """An empty store."""
    return FakeEventStore()


# The plain way.


def test_a_micro_batch_is_recorded_with_the_positions_behind_it(store: FakeEventStore) -> None:
    script = small_batch()
    intakes = intakes_of(messages_of(script))
    ingestion = Ingestion(store)

    taken = ingestion.insist(intakes)

    batch = batch_of(store, script)
    assert batch.overall_status is BatchStatus.COMPLETED_SUCCESSFULLY
    assert batch.counts == (3, 3, 0)
    assert taken.events == store.events
    assert taken.conflicts == 0
    last = {(i.message.topic, i.message.partition): i.message.offset for i in intakes}
    assert ingestion.positions == last
    assert store.intake_positions == {f"intake/{topic}/{number}": at for (topic, number), at in last.items()}


def test_nothing_to_take_in_touches_nothing(store: FakeEventStore) -> None:
    store.on_step = lambda step: pytest.fail(f"reached {step}")

    assert Ingestion(store).take_in([]).events == []


def test_every_message_is_counted_under_what_became_of_it(store: FakeEventStore) -> None:
    messages = messages_of(small_batch())
    again = [
        sent_again(m, event_id=str(uuid5(NAMESPACE_OID, m.value.hex())), sent_at=START) for m in messages
    ]
    intakes = intakes_of([*messages, *again])
    intakes.append(dead_letter(topics.SPELLCHECK_RESULTS, partition=7))

    taken = Ingestion(store).insist(intakes)

    assert total(store) == IntakeCounts(
        taken_in=len(intakes), recorded=len(messages), repeated=len(messages), dead_lettered=1
    )
    assert store.counts[topics.SPELLCHECK_RESULTS, 7] == IntakeCounts(taken_in=1, dead_lettered=1)
    assert taken.counts == store.counts


def test_positions_know_messages_that_are_in(store: FakeEventStore) -> None:
    intakes = intakes_of(messages_of(small_batch()))
    Ingestion(store).insist(intakes)
    before = list(store.log)

    assert Ingestion(store).insist(intakes).events == []
    assert store.log == before


def test_a_batch_at_hand_is_not_loaded_again(store: FakeEventStore) -> None:
    intakes = intakes_of(messages_of(small_batch(assessed=False)))
    ingestion = Ingestion(store)
    ingestion.insist(intakes[:1])
    steps: list[Step] = []
    store.on_step = steps.append
    ingestion.insist(intakes[1:])

    assert Step.LOAD not in steps
    assert (ingestion.use_case.cache.hits, ingestion.use_case.cache.misses) == (1, 1)


def test_nothing_kept_in_memory_gives_the_same(store: FakeEventStore) -> None:
    intakes = intakes_of(messages_of(small_batch("one", failed=1), small_batch("two", rechecked=1)))
    forgetful = Ingestion(store, max_essays=0)
    for intake in intakes:
        forgetful.insist([intake])
    other = FakeEventStore()
    Ingestion(other).insist(intakes)

    assert store.log == other.log
    assert len(forgetful.use_case.cache) == 0


# Conflicts: several ingesters work on one batch.


def test_a_batch_that_another_ingester_changed_is_loaded_and_decided_again(store: FakeEventStore) -> None:
    script = small_batch()
    intakes = intakes_of(messages_of(script))
    registration, rest = intakes[:1], intakes[1:]
    one, two = Ingestion(store), Ingestion(store)
    one.insist(rest[:1])
    two.insist(registration)

    taken = one.insist(rest[1:])

    assert taken.conflicts == 1
    assert batch_of(store, script).overall_status is BatchStatus.COMPLETED_SUCCESSFULLY


def test_a_conflict_between_loading_and_appending_is_decided_again_under_the_lock(
    store: FakeEventStore,
) -> None:
    script = small_batch()
    intakes = intakes_of(messages_of(script))
    one, two = Ingestion(store), Ingestion(store)
    steps: list[Step] = []

    def outrun_once(step: Step) -> None:
        steps.append(step)
        if step is Step.LOAD:
            store.on_step = steps.append
            two.insist(intakes[:1])
            steps.clear()

    one.seek(intakes)
    store.on_step = outrun_once
    taken = one.insist(intakes[1:])

    assert taken.conflicts == 1
    again = steps[steps.index(Step.BEGIN) :]
    assert again[1:5] == [Step.LOAD, Step.LOCK, Step.LOAD, Step.APPEND]
    assert batch_of(store, script).overall_status is BatchStatus.COMPLETED_SUCCESSFULLY


def test_while_others_write_a_micro_batch_begins_under_the_lock_and_meets_no_conflict(
    store: FakeEventStore,
) -> None:
    intakes = intakes_of(messages_of(small_batch(essays=12, assessed=False)))
    assert len(intakes) > 12
    one, two = Ingestion(store), Ingestion(store)
    one.insist(intakes[:1])
    two.insist(intakes[1:2])
    assert one.insist(intakes[2:3]).conflicts == 1

    two.insist(intakes[3:4])
    assert one.insist(intakes[4:5]).conflicts == 0, "it has read what the other wrote before it decided"
    steps: list[Step] = []
    store.on_step = steps.append
    one.insist(intakes[5:6])
    assert Step.LOCK in steps, "the other may be at it still"
    steps.clear()
    one.insist(intakes[6:7])

    assert Step.LOCK not in steps, "there was no news"


@pytest.mark.parametrize("size", [1, 3, 10])
def test_ingesters_that_take_turns_on_the_same_batches_come_to_what_one_comes_to(
    store: FakeEventStore, size: int
) -> None:
    scripts = [
        small_batch("a", essays=4, failed=1),
        small_batch("b", essays=2),
        small_batch("c", rechecked=1),
    ]
    intakes = intakes_of(messages_of(*scripts))
    alone = FakeEventStore()
    Ingestion(alone).insist(intakes)
    ingesters = [Ingestion(store), Ingestion(store)]
    for begin in range(0, len(intakes), size):
        for number, ingester in enumerate(ingesters):
            ingester.insist([i for i in intakes[begin : begin + size] if i.message.partition % 2 == number])

    assert facts(store) == facts(alone)
    assert store.counts == alone.counts
    assert store.intake_positions == alone.intake_positions
    for script in scripts:
        assert batch_of(store, script).counts == batch_of(alone, script).counts
        assert batch_of(store, script).overall_status is script.expected.overall_status
        versions = [event.originator_version for event in events_of(store, script)]
        assert versions == list(range(1, len(versions) + 1))


def facts(store: FakeEventStore) -> list[tuple[str, str, datetime, int]]:
    """Return what upstream said, sorted: once each, anyone who took it in."""
    return sorted(
        (event.originator_id, event.topic, event.happened_at, event.causation.offset)
        for event in store.events
        if not isinstance(event, BatchResultsReady | BatchProgressed)
    )
