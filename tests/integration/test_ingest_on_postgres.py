"""Taking in messages on the real store: ingesters that share batches, lost sessions, what it refuses."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

from application.deciding import Intake
from domain.batch import BatchAggregate, batch_stream_id
from domain.batch_events import BatchResultsReady
from domain.dead_letters import MessageDeadLettered, Reason
from infrastructure.demo.stream import Scenario, stream
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.store import EventStore
from tests.support.fake_store import FakeEventStore
from tests.support.ingesting import (
    Ingestion,
    batch_id_of_intake,
    dead_letter,
    intake_of,
    intakes_of,
    messages_of,
    small_batch,
)
from tests.support.postgres_probe import PostgresProbe, opened_store
from tests.support.waiting import wait_until

SIZE = 25
"""Messages in a micro-batch."""


def batches_in(database: PostgresProbe) -> dict[str, BatchAggregate]:
    """Return every batch as its recorded events describe it."""
    codec = event_codec()
    batches: dict[str, BatchAggregate] = {}
    for stored in database.stored():
        if not str(stored.originator_id).startswith("batch-"):
            continue
        event = codec.to_domain_event(stored)
        batches.setdefault(event.originator_id, BatchAggregate(event.originator_id)).apply(event)
    return batches


def check_expectations(scenario: Scenario, database: PostgresProbe) -> None:
    """Check that each batch ended as the script has it, that no fact is there twice, and no version missing."""
    batches = batches_in(database)
    for batch_id, expected in scenario.expected.items():
        batch = batches[batch_stream_id(batch_id)]
        assert batch.overall_status is expected.overall_status
        assert batch.counts == (expected.total, expected.completed, expected.failed)
    versions: dict[str, list[int]] = {}
    for _, stream_id, version in database.log():
        versions.setdefault(stream_id, []).append(version)
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    assert max(told(database).values()) == 1


def told(database: PostgresProbe) -> Counter[tuple[str, str, str, int, int]]:
    """Count the recorded facts by the message that told them, and the announcements by their outcome."""
    codec = event_codec()
    counted: Counter[tuple[str, str, str, int, int]] = Counter()
    for stored in database.stored():
        event = codec.to_domain_event(stored)
        what = str(event.revision) if isinstance(event, BatchResultsReady) else event.causation.topic
        counted[
            event.originator_id, event.topic, what, event.causation.partition, event.causation.offset
        ] += 1
    return counted


def micro_batches(intakes: list[Intake], partitions: set[int]) -> list[list[Intake]]:
    """Cut the messages of some partitions into micro-batches."""
    mine = [intake for intake in intakes if intake.message.partition in partitions]
    return [mine[begin : begin + SIZE] for begin in range(0, len(mine), SIZE)]


def test_ingesters_at_work_on_the_same_batches_at_once_come_to_what_one_comes_to(
    store: EventStore, database: PostgresProbe, store_url: str
) -> None:
    scenario = stream(21, 25, class_sizes=(1, 8, 24), failure_share=0.5)
    intakes = intakes_of(scenario)
    alone = FakeEventStore()
    Ingestion(alone).insist(intakes)
    everybody_has_begun = Barrier(3)

    def ingest(partitions: set[int]) -> int:
        conflicts = 0
        with opened_store(store_url) as own_store:
            ingestion = Ingestion(own_store)
            for number, each in enumerate(micro_batches(intakes, partitions)):
                conflicts += ingestion.insist(each).conflicts
                if number == 0:
                    everybody_has_begun.wait()
        return conflicts

    with ThreadPoolExecutor(3) as pool:
        conflicts = sum(pool.map(ingest, ({0}, {1}, {2})))

    check_expectations(scenario, database)
    assert conflicts > 0
    assert sum(counts.taken_in for counts in database.counts().values()) == len(intakes)
    assert database.positions("intake/") == alone.intake_positions


def test_two_owners_of_the_same_partitions_record_everything_once(
    store: EventStore, database: PostgresProbe, store_url: str
) -> None:
    """As after a rebalance that one of them has not noticed yet."""
    scenario = stream(22, 12, class_sizes=(1, 8), failure_share=0.5)
    intakes = intakes_of(scenario)

    def ingest(_owner: int) -> None:
        with opened_store(store_url) as own_store:
            ingestion = Ingestion(own_store)
            for each in micro_batches(intakes, {0, 1, 2}):
                ingestion.insist(each)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ingest, range(2)))

    check_expectations(scenario, database)
    assert sum(counts.taken_in for counts in database.counts().values()) == len(intakes)


def wait_for_progress(database: PostgresProbe, ingesting: Future[None]) -> None:
    """Wait until more is recorded than now, or everything is."""
    before = len(database.log())
    wait_until(lambda: ingesting.done() or len(database.log()) > before, what="more is recorded")


def test_sessions_that_are_ended_while_messages_are_taken_in_lose_nothing(
    store: EventStore, database: PostgresProbe
) -> None:
    scenario = stream(23, 15, class_sizes=(1, 8), failure_share=0.5)
    intakes = intakes_of(scenario)
    ingestion = Ingestion(store)

    def ingest() -> None:
        for each in micro_batches(intakes, {0, 1, 2}):
            ingestion.insist(each)

    ended = 0
    with ThreadPoolExecutor(1) as pool:
        ingesting = pool.submit(ingest)
        while ended < 4 and not ingesting.done():
            wait_for_progress(database, ingesting)
            for session in database.sessions_of_the_store():
                database.terminate(session)
                ended += 1
        ingesting.result()

    assert ended > 0
    check_expectations(scenario, database)
    assert sum(counts.taken_in for counts in database.counts().values()) == len(intakes)


def test_what_postgresql_refuses_becomes_a_dead_letter_and_the_others_go_on(
    store: EventStore, database: PostgresProbe
) -> None:
    good, bad = small_batch("good", essays=4), small_batch("bad", essays=4, failed=1)
    intakes = intakes_of(messages_of(good, bad))
    [failure] = [n for n, i in enumerate(intakes) if b'"spellcheck_failed"' in (i.message.value or b"")]
    value = (intakes[failure].message.value or b"").replace(
        b'"http_status":502', b'"http_status":[1e999,%d]' % 10**30
    )
    intakes[failure] = intake_of(replace(intakes[failure].message, value=value))
    assert batch_id_of_intake(intakes[failure]) == bad.batch_id

    Ingestion(store).insist([dead_letter("huleedu.essay.spellcheck.results.v1", partition=7), *intakes])

    codec = event_codec()
    events = [codec.to_domain_event(stored) for stored in database.stored()]
    letters = [event for event in events if isinstance(event, MessageDeadLettered)]
    assert sorted(letter.reason for letter in letters) == [Reason.NOT_JSON, Reason.NOT_STORABLE]
    [refused] = [letter for letter in letters if letter.reason is Reason.NOT_STORABLE]
    assert b64decode(refused.value or "") == value
    stream_id = batch_stream_id(good.batch_id)
    sound = BatchAggregate.replay(stream_id, [event for event in events if event.originator_id == stream_id])
    assert sound.overall_status is good.expected.overall_status
    assert sum(counts.dead_lettered for counts in database.counts().values()) == 2
    assert sum(counts.taken_in for counts in database.counts().values()) == len(intakes) + 1
