"""What cannot be parsed, what the store refuses, and what our own code fails on: nobody else waits for it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent

from application import topics
from application.deciding import Intake
from application.ports import IntakeCounts, UnstorableError
from application.translate import Rejection
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate, batch_stream_id
from domain.batch_events import BatchRegistered, EssaySlotAssigned, EssaySpellchecked, MessageParked
from domain.dead_letters import MessageDeadLettered, Reason
from domain.values import BatchStatus
from tests.support.fake_store import FakeEventStore, Step
from tests.support.ingesting import (
    Ingestion,
    batch_id_of_intake,
    batch_of,
    dead_letter,
    events_of,
    intake_of,
    intakes_of,
    messages_of,
    small_batch,
    total,
)


@pytest.fixture
def store() -> FakeEventStore:
    """An empty store."""
    return FakeEventStore()


# Poison: what cannot be parsed, and what the store refuses.


def test_a_dead_letter_keeps_every_byte_and_the_messages_behind_it_go_on(store: FakeEventStore) -> None:
    script = small_batch()
    value = b"\xff\xfe not json \x00"
    poison = dead_letter(topics.SPELLCHECK_RESULTS, partition=7, value=value)

    taken = Ingestion(store).insist([poison, *intakes_of(messages_of(script))])

    letter = taken.events[0]
    assert isinstance(letter, MessageDeadLettered)
    assert letter.originator_id == "dead-letter-huleedu.essay.spellcheck.results.v1-7-0-1772870400000"
    assert letter.reason is Reason.NOT_JSON
    assert b64decode(letter.key or "") == poison.message.key
    assert b64decode(letter.value or "") == value
    headers = tuple((name, b64decode(text)) for name, text in letter.headers)
    assert headers == poison.message.headers == (("event_id", b"\x00\xff"), ("event_id", b"again"))
    where = letter.causation
    assert (where.topic, where.partition, where.offset) == (topics.SPELLCHECK_RESULTS, 7, 0)
    assert batch_of(store, script).overall_status is BatchStatus.COMPLETED_SUCCESSFULLY
    assert total(store).dead_lettered == 1


def test_a_tombstone_is_a_dead_letter_without_value(store: FakeEventStore) -> None:
    Ingestion(store).insist([dead_letter(topics.SPELLCHECK_RESULTS, value=None)])

    [letter] = store.events
    assert isinstance(letter, MessageDeadLettered)
    assert (letter.reason, letter.value) == (Reason.NO_VALUE, None)


def unstorable(intake: Intake) -> Intake:
    """Return a failure that keeps the contract but holds numbers that no store of JSON takes."""
    value = (intake.message.value or b"").replace(b'"http_status":502', b'"http_status":[1e999,%d]' % 10**30)
    changed = intake_of(replace(intake.message, value=value))
    assert value != intake.message.value
    assert not isinstance(changed.outcome, Rejection)
    return changed


def failures_in(intakes: list[Intake]) -> list[int]:
    """Return where the failed spellchecks are."""
    return [n for n, i in enumerate(intakes) if b'"spellcheck_failed"' in (i.message.value or b"")]


def test_what_the_store_refuses_is_isolated_and_the_others_go_on(store: FakeEventStore) -> None:
    good, bad = small_batch("good", essays=4), small_batch("bad", essays=4, failed=1)
    intakes = intakes_of(messages_of(good, bad))
    [failure] = failures_in(intakes)
    intakes[failure] = unstorable(intakes[failure])
    ingestion = Ingestion(store)

    taken = ingestion.insist(intakes)

    [letter] = [event for event in store.events if isinstance(event, MessageDeadLettered)]
    assert letter.reason is Reason.NOT_STORABLE
    assert b64decode(letter.value or "") == intakes[failure].message.value
    assert letter.causation.offset == intakes[failure].message.offset
    assert letter.causation.event_id is not None
    assert batch_of(store, good).overall_status is BatchStatus.COMPLETED_SUCCESSFULLY
    assert batch_of(store, bad).overall_status is None
    assert total(store) == IntakeCounts(taken_in=len(intakes), recorded=len(intakes) - 1, dead_lettered=1)
    assert taken.counts == store.counts
    assert store.intake_positions == {
        f"intake/{topic}/{number}": at for (topic, number), at in ingestion.positions.items()
    }


def test_the_one_that_is_refused_is_found_by_halving(store: FakeEventStore) -> None:
    intakes = intakes_of(messages_of(small_batch("bad", essays=60, failed=1)))
    [failure] = failures_in(intakes)
    intakes[failure] = unstorable(intakes[failure])
    ingestion = Ingestion(store)
    ingestion.seek(intakes)
    steps: list[Step] = []
    store.on_step = steps.append

    ingestion.insist(intakes)

    assert len(intakes) > 2**6
    assert steps.count(Step.BEGIN) <= 2 * 7 + 2


def test_two_that_the_store_refuses_are_both_found(store: FakeEventStore) -> None:
    bad = small_batch("bad", essays=6, failed=2)
    intakes = intakes_of(messages_of(bad))
    failures = failures_in(intakes)
    assert len(failures) == 2
    for failure in failures:
        intakes[failure] = unstorable(intakes[failure])

    Ingestion(store).insist(intakes)

    assert total(store).dead_lettered == 2
    assert total(store).taken_in == len(intakes)
    assert len([e for e in events_of(store, bad) if isinstance(e, EssaySpellchecked)]) == 4


def test_a_dead_letter_that_cannot_be_stored_either_is_an_error_and_moves_no_position(
    store: FakeEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_event: DomainEvent) -> StoredEvent:
        raise ValueError("no space for anything")

    ingestion = Ingestion(store)
    monkeypatch.setattr(store.codec, "to_stored_event", refuse)

    with pytest.raises(UnstorableError, match="no space for anything"):
        ingestion.insist(intakes_of(messages_of(small_batch())))

    assert store.log == []
    assert set(store.positions.values()) == {-1}


# Bugs of our own: only the batch concerned waits.


class BugError(Exception):
    """Our own code is wrong."""


@pytest.fixture
def bug_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make our own code fail, half-way, on the spellcheck of one essay."""
    original = BatchAggregate.record_spellcheck

    def break_for(broken_essay_id: str) -> None:
        def record_spellcheck(batch: BatchAggregate, *, essay_id: str, **facts: Any) -> None:
            original(batch, essay_id=essay_id, **facts)
            if essay_id == broken_essay_id:
                raise BugError("half-way")

        monkeypatch.setattr(BatchAggregate, "record_spellcheck", record_spellcheck)

    return break_for


def is_spellcheck_of(intake: Intake, essay_id: str) -> bool:
    """Whether the message is the spellcheck of `essay_id`."""
    return intake.message.topic == topics.SPELLCHECK_RESULTS and intake.message.key == essay_id.encode()


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_message_that_our_code_fails_on_is_parked_with_what_follows_for_its_batch(
    store: FakeEventStore, bug_in: Callable[[str], None], size: int
) -> None:
    sick, sound = small_batch("sick", essays=5), small_batch("sound", essays=5)
    intakes = intakes_of(messages_of(sick, sound))
    essay_id = sick.essay_ids[2]
    bug_in(essay_id)
    ingestion = Ingestion(store)
    for begin in range(0, len(intakes), size):
        ingestion.insist(intakes[begin : begin + size])

    its_own = [i for i in intakes if batch_id_of_intake(i) == sick.batch_id]
    first = next(n for n, intake in enumerate(its_own) if is_spellcheck_of(intake, essay_id))
    events = events_of(store, sick)
    parked = [event for event in events if isinstance(event, MessageParked)]
    assert [b64decode(event.value or "") for event in parked] == [i.message.value for i in its_own[first:]]
    assert [b64decode(event.key or "") for event in parked] == [i.message.key for i in its_own[first:]]
    assert events[-len(parked) :] == parked
    assert parked[0].reason == "BugError: half-way"
    assert {event.reason for event in parked[1:]} == {"An earlier message of this stream is parked."}
    assert essay_id not in {e.essay_id for e in events if isinstance(e, EssaySpellchecked)}
    assert batch_of(store, sound).overall_status is BatchStatus.COMPLETED_SUCCESSFULLY
    assert total(store).parked == len(parked)
    assert total(store).taken_in == len(intakes)


def test_a_batch_stays_parked_after_a_restart_and_a_repair(
    store: FakeEventStore, bug_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = small_batch("sick")
    intakes = intakes_of(messages_of(script))
    bug_in(script.essay_ids[0])
    half = 1 + next(n for n, i in enumerate(intakes) if is_spellcheck_of(i, script.essay_ids[0]))
    Ingestion(store).insist(intakes[:half])
    assert batch_of(store, script).is_parked
    monkeypatch.undo()

    Ingestion(store).insist(intakes[half:])

    assert total(store).parked == 1 + len(intakes[half:])
    assert batch_of(store, script).overall_status is None


def test_a_message_parked_by_one_ingester_parks_the_messages_of_the_other(
    store: FakeEventStore, bug_in: Callable[[str], None]
) -> None:
    script = small_batch("sick")
    intakes = intakes_of(messages_of(script))
    sick = next(i for i in intakes if is_spellcheck_of(i, script.essay_ids[0]))
    one, two = Ingestion(store), Ingestion(store)
    one.insist(intakes[:1])
    bug_in(script.essay_ids[0])
    two.insist([sick])

    taken = one.insist(intakes[1:2])

    assert taken.conflicts == 1
    assert [type(event) for event in events_of(store, script)] == [
        BatchRegistered,
        MessageParked,
        MessageParked,
    ]


def test_messages_for_a_stream_that_cannot_be_read_are_parked_behind_it(store: FakeEventStore) -> None:
    script, sound = small_batch("unreadable"), small_batch("sound")
    stream_id = batch_stream_id(script.batch_id)
    foreign = StoredEvent(stream_id, 1, "ras.batch.from-the-future.v9", b"{}")
    store.put(store.next_notification_id(), foreign)
    intakes = intakes_of(messages_of(script, sound))
    ingestion = Ingestion(store)
    ingestion.insist(intakes[:5])
    ingestion.insist(intakes[5:])

    stored = store.stream(stream_id)
    parked = [store.codec.to_domain_event(event) for event in stored[1:]]
    mine = [i for i in intakes if batch_id_of_intake(i) == script.batch_id]
    assert [event.originator_version for event in stored] == list(range(1, len(mine) + 2))
    assert [b64decode(event.value) for event in parked] == [i.message.value for i in mine]
    assert {event.reason for event in parked} == {"An earlier message of this stream is parked."}
    assert batch_of(store, sound).overall_status is BatchStatus.COMPLETED_SUCCESSFULLY


def test_a_stream_that_cannot_be_folded_is_parked_too(
    store: FakeEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = small_batch("unfoldable")
    intakes = intakes_of(messages_of(script))
    Ingestion(store).insist(intakes[:2])
    assert isinstance(store.events[-1], EssaySlotAssigned)

    def fail(_batch: BatchAggregate, _event: DomainEvent) -> None:
        raise BugError("cannot fold")

    with monkeypatch.context() as patch:
        patch.setattr(BatchAggregate, "_evolve", fail)
        Ingestion(store).insist(intakes[2:3])

    assert [type(event) for event in store.events] == [BatchRegistered, EssaySlotAssigned, MessageParked]


def test_a_dead_letter_that_is_read_again_is_a_repeat(store: FakeEventStore) -> None:
    poison = [dead_letter(topics.SPELLCHECK_RESULTS)]
    Ingestion(store).insist(poison)
    recorded = store.events
    store.positions.clear()

    Ingestion(store).insist(poison)

    assert store.events == recorded
    assert (total(store).dead_lettered, total(store).repeated) == (1, 1)
