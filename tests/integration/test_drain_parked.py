"""Parked messages are drained in order, once, whatever happens meanwhile; other streams are not touched."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent

from application import drain as drain_module
from application import topics
from application.deciding import Intake
from application.drain import Drained, DrainParked, NoSuchStreamError, StillUnreadableError
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate, batch_stream_id
from domain.batch_events import BatchResultsReady, DrainOutcome, MessageDrained, MessageParked
from domain.dead_letters import MessageDeadLettered
from infrastructure.demo.script import BatchScript
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.store import EventStore
from tests.support.fake_store import FakeEventStore
from tests.support.ingesting import Ingestion, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import PostgresProbe, opened_store

TOLERANCE = timedelta(days=365)
BY = "operator-0001"


class BugError(Exception):
    """Our own code is wrong."""


@pytest.fixture
def bug_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Make our own code fail, half-way, on the spellcheck of one essay; None mends it."""
    original = BatchAggregate.record_spellcheck

    def break_for(broken_essay_id: str | None) -> None:
        def record_spellcheck(batch: BatchAggregate, *, essay_id: str, **facts: Any) -> None:
            original(batch, essay_id=essay_id, **facts)
            if essay_id == broken_essay_id:
                raise BugError("half-way")

        monkeypatch.setattr(BatchAggregate, "record_spellcheck", record_spellcheck)

    return break_for


def drain(store: EventStore, script: BatchScript) -> Drained:
    """Drain one batch."""
    return DrainParked(store, future_tolerance=TOLERANCE)(batch_stream_id(script.batch_id), by=BY)


def events(database: PostgresProbe, script: BatchScript) -> list[DomainEvent]:
    """Return what is recorded of a batch."""
    codec = event_codec()
    stream = batch_stream_id(script.batch_id)
    return [codec.to_domain_event(stored) for stored in database.stored() if stored.originator_id == stream]


def facts(recorded: list[DomainEvent]) -> list[tuple[str, Any, Any]]:
    """Return what was said of a batch, without where and when it was recorded."""
    left_out = (MessageParked, MessageDrained)
    return [
        (event.topic, event.happened_at, event.causation.offset)
        for event in recorded
        if not isinstance(event, left_out)
    ]


def undisturbed(intakes: list[Intake], script: BatchScript) -> list[tuple[str, Any, Any]]:
    """Return what is recorded of a batch when nothing goes wrong."""
    store = FakeEventStore()
    Ingestion(store).insist(intakes)
    stream = batch_stream_id(script.batch_id)
    return facts([event for event in store.events if event.originator_id == stream])


def check_drained(database: PostgresProbe, script: BatchScript, intakes: list[Intake]) -> None:
    """Check that the batch came to what it comes to undisturbed, and that each parked message was drained once."""
    recorded = events(database, script)
    assert facts(recorded) == undisturbed(intakes, script)
    parked = [event.originator_version for event in recorded if isinstance(event, MessageParked)]
    drained = [event.parked_version for event in recorded if isinstance(event, MessageDrained)]
    assert drained == parked
    assert not BatchAggregate.replay(batch_stream_id(script.batch_id), recorded).is_parked
    assert [event.originator_version for event in recorded] == list(range(1, len(recorded) + 1))


def parked_batch(
    store: EventStore, bug_in: Callable[[str | None], None], *, essays: int = 5
) -> tuple[BatchScript, list[Intake]]:
    """Park a batch from the spellcheck of its third essay on; the bug is mended when this returns."""
    script = small_batch("sick", essays=essays)
    intakes = intakes_of(messages_of(script))
    bug_in(script.essay_ids[2])
    Ingestion(store).insist(intakes)
    bug_in(None)
    return script, intakes


@pytest.mark.parametrize("at_once", [1, 3, 500])
def test_a_drained_batch_comes_to_what_it_comes_to_undisturbed(
    store: EventStore,
    database: PostgresProbe,
    bug_in: Callable[[str | None], None],
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    monkeypatch.setattr(drain_module, "_AT_ONCE", at_once)
    script, intakes = parked_batch(store, bug_in)
    waiting = sum(isinstance(event, MessageParked) for event in events(database, script))
    assert waiting > 3

    drained = drain(store, script)

    assert (drained.left, drained.fault) == (0, None)
    assert sum(drained.outcomes.values()) == waiting
    check_drained(database, script, intakes)


def test_draining_again_finds_nothing_and_changes_nothing(
    store: EventStore, database: PostgresProbe, bug_in: Callable[[str | None], None]
) -> None:
    script, _ = parked_batch(store, bug_in)
    drain(store, script)
    before = database.log()

    drained = drain(store, script)

    assert (sum(drained.outcomes.values()), drained.left) == (0, 0)
    assert database.log() == before


def test_the_bug_is_not_mended_so_the_rest_waits_on_in_order(
    store: EventStore, database: PostgresProbe, bug_in: Callable[[str | None], None]
) -> None:
    script = small_batch("sick", essays=5)
    intakes = intakes_of(messages_of(script))
    checks = [i for i in intakes if i.message.topic == topics.SPELLCHECK_RESULTS]
    bug_in((checks[1].message.key or b"").decode())
    Ingestion(store).insist(intakes)
    bug_in((checks[3].message.key or b"").decode())  # mended there, broken here

    drained = drain(store, script)

    assert drained.fault is not None
    assert drained.fault.startswith("BugError at the message huleedu.essay.spellcheck.results.v1/")
    assert drained.outcomes[DrainOutcome.RECORDED] >= 2
    recorded = events(database, script)
    parked = [event.originator_version for event in recorded if isinstance(event, MessageParked)]
    done = [event.parked_version for event in recorded if isinstance(event, MessageDrained)]
    assert done == parked[: len(done)]
    assert drained.left == len(parked) - len(done) > 0

    bug_in(None)
    assert drain(store, script).left == 0
    check_drained(database, script, intakes)


def test_what_comes_while_messages_wait_goes_behind_and_is_drained_too(
    store: EventStore, database: PostgresProbe, bug_in: Callable[[str | None], None]
) -> None:
    script = small_batch("sick", essays=5)
    intakes = intakes_of(messages_of(script))
    half = len(intakes) // 2
    first_check = next(i for i in intakes if i.message.topic == topics.SPELLCHECK_RESULTS)
    bug_in((first_check.message.key or b"").decode())
    ingestion = Ingestion(store)
    ingestion.insist(intakes[:half])
    bug_in(None)
    ingestion.insist(intakes[half : half + 2])  # mended, but an earlier one waits: parked behind it
    drain(store, script)

    taken = ingestion.insist(intakes[half + 2 :])

    assert taken.conflicts == 1, "the ingester learns by the conflict that nobody waits any more"
    check_drained(database, script, intakes)


def test_many_drain_while_others_ingest(
    store: EventStore, database: PostgresProbe, store_url: str, bug_in: Callable[[str | None], None]
) -> None:
    script = small_batch("sick", essays=40)
    intakes = intakes_of(messages_of(script))
    bug_in(script.essay_ids[2])
    half = len(intakes) // 2
    ingestion = Ingestion(store)
    ingestion.insist(intakes[:half])
    bug_in(None)
    together = Barrier(3)

    def drain_too(_number: int) -> int:
        with opened_store(store_url) as own_store:
            together.wait()
            return sum(drain(own_store, script).outcomes.values())

    def ingest() -> None:
        together.wait()
        for intake in intakes[half:]:
            ingestion.insist([intake])

    with ThreadPoolExecutor(3) as pool:
        ingesting = pool.submit(ingest)
        done = sum(pool.map(drain_too, range(2)))
        ingesting.result()
    drained = drain(store, script)

    recorded = events(database, script)
    assert done + sum(drained.outcomes.values()) == sum(isinstance(e, MessageParked) for e in recorded)
    parked = [event.originator_version for event in recorded if isinstance(event, MessageParked)]
    assert [event.parked_version for event in recorded if isinstance(event, MessageDrained)] == parked
    assert sum(isinstance(event, BatchResultsReady) for event in recorded) == 1


def test_other_batches_are_not_touched(
    store: EventStore, database: PostgresProbe, bug_in: Callable[[str | None], None]
) -> None:
    script, _ = parked_batch(store, bug_in)
    sound = small_batch("sound")
    Ingestion(store).insist(intakes_of(messages_of(script, sound)))
    before = events(database, sound)

    drain(store, script)

    assert events(database, sound) == before


def test_a_parked_message_that_the_contract_refuses_by_now_becomes_a_dead_letter(
    store: EventStore,
    database: PostgresProbe,
    bug_in: Callable[[str | None], None],
) -> None:
    script, _ = parked_batch(store, bug_in)
    parked = next(event for event in events(database, script) if isinstance(event, MessageParked))

    drained = DrainParked(store, future_tolerance=timedelta(days=-3650))(
        batch_stream_id(script.batch_id), by=BY
    )

    assert drained.outcomes[DrainOutcome.RECORDED] == 0
    assert drained.outcomes[DrainOutcome.DEAD_LETTERED] > 3
    letters = [event_codec().to_domain_event(stored) for stored in database.stored()]
    first = next(event for event in letters if isinstance(event, MessageDeadLettered))
    assert (first.value, first.causation.offset) == (parked.value, parked.causation.offset)
    assert not BatchAggregate.replay("batch-x", events(database, script)).is_parked


def test_a_stream_that_this_release_cannot_read_waits_on_until_one_can(
    store: EventStore, database: PostgresProbe
) -> None:
    script = small_batch("unreadable")
    intakes = intakes_of(messages_of(script))
    stream_id = batch_stream_id(script.batch_id)
    database.put(StoredEvent(stream_id, 1, "ras.batch.from-the-future.v9", b"{}"))
    Ingestion(store).insist(intakes)
    before = database.log()

    with pytest.raises(StillUnreadableError, match=r"from-the-future\.v9"):
        drain(store, script)
    assert database.log() == before

    # The fixed release: the event means something after all.
    database.execute(
        "UPDATE ras.stored_events SET topic = e.topic, state = e.state FROM ras.stored_events e"
        " WHERE ras.stored_events.originator_version = 1 AND ras.stored_events.originator_id = %s"
        " AND e.originator_id = %s AND e.originator_version = 2",
        stream_id,
        stream_id,
    )
    drained = drain(store, script)
    assert (drained.left, drained.fault) == (0, None)
    recorded = events(database, script)[1:]
    assert facts(recorded) == undisturbed(intakes, script)


@pytest.mark.parametrize("stream_id", ["", "nothing", "dead-letter-x-0-0-0", "inbox-1"])
def test_a_stream_in_which_nothing_can_wait_is_refused(store: EventStore, stream_id: str) -> None:
    with pytest.raises(NoSuchStreamError):
        DrainParked(store, future_tolerance=TOLERANCE)(stream_id, by=BY)


def test_progress_is_told_after_each_transaction(
    store: EventStore, bug_in: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "_AT_ONCE", 2)
    script, _ = parked_batch(store, bug_in, essays=4)
    told: list[tuple[int, int]] = []

    DrainParked(store, future_tolerance=TOLERANCE)(
        batch_stream_id(script.batch_id), by=BY, on_progress=lambda done, left: told.append((done, left))
    )

    total = told[0][0] + told[0][1]
    assert all(done + left == total for done, left in told)
    assert told[-1] == (total, 0)
    assert len(told) > 2


def test_an_operator_who_is_killed_between_two_stretches_has_drained_the_first(
    store: EventStore,
    database: PostgresProbe,
    bug_in: Callable[[str | None], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drain_module, "_AT_ONCE", 2)
    script, intakes = parked_batch(store, bug_in)
    killed = Event()

    def kill(_done: int, _left: int) -> None:
        killed.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DrainParked(store, future_tolerance=TOLERANCE)(
            batch_stream_id(script.batch_id), by=BY, on_progress=kill
        )
    assert killed.is_set()
    assert sum(isinstance(event, MessageDrained) for event in events(database, script)) == 2

    drain(store, script)
    check_drained(database, script, intakes)
