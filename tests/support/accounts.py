"""The accounts of a run: what went in, what is recorded and what came out, counted against each other.

Each check raises AssertionError and names what is missing or too much.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

import orjson

from application.envelopes import OutgoingMessage, outgoing_messages
from application.ports import IntakeCounts
from application.topics import INPUT_TOPICS, OUTPUT_TOPICS, PUBLISHER_POSITION
from application.translate import Command
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate, batch_stream_id
from domain.batch_events import PUBLISHED_EVENTS, BatchResultsReady
from infrastructure.demo.message import UpstreamMessage
from infrastructure.eventstore.catalogue import event_codec
from infrastructure.eventstore.positions import projection_position
from infrastructure.kafka.position_copy import publisher_position
from projections.catalogue import PROJECTIONS
from tests.support.fake_store import summed
from tests.support.ingesting import intakes_of
from tests.support.postgres_probe import PostgresProbe
from tests.support.topics import Coordinates, Topics
from tests.support.waiting import wait_until


def recorded_events(store: PostgresProbe) -> list[DomainEvent]:
    """Return every event of the store in the order of the log."""
    codec = event_codec()
    return [codec.to_domain_event(stored) for stored in store.stored()]


def announced(store: PostgresProbe) -> list[OutgoingMessage]:
    """Return every record that must come out of Kafka, in the order of the log."""
    return [
        message
        for event in recorded_events(store)
        if isinstance(event, PUBLISHED_EVENTS)
        for message in outgoing_messages(event)
    ]


def announcements(store: PostgresProbe) -> int:
    """Return how many records must come out of Kafka: for each event one, and one for the teacher."""
    topics = [event.topic for event in PUBLISHED_EVENTS]
    return 2 * int(store.value("SELECT count(*) FROM ras.stored_events WHERE topic = ANY(%s)", topics))


def taken_in(store: PostgresProbe) -> int:
    """Return how many messages were taken in so far."""
    return int(store.value("SELECT coalesce(sum(taken_in), 0)::bigint FROM ras.intake_counts"))


def all_is_taken_in(store: PostgresProbe, topics: Topics) -> bool:
    """Whether every message that lies in Kafka now is taken in."""
    return taken_in(store) == sum(topics.ends(INPUT_TOPICS).values())


def last_announcement(store: PostgresProbe) -> int:
    """Return the notification id of the last event that is to be published, 0 if there is none."""
    topics = [event.topic for event in PUBLISHED_EVENTS]
    return int(
        store.value(
            "SELECT coalesce(max(notification_id), 0) FROM ras.stored_events WHERE topic = ANY(%s)", topics
        )
    )


def all_is_published(store: PostgresProbe, transactional_id: str) -> bool:
    """Whether the publisher says that it has sent everything that is in the store now."""
    name = publisher_position(transactional_id)
    return store.positions().get(name, 0) >= last_announcement(store)


def all_is_projected(store: PostgresProbe) -> bool:
    """Whether every read model holds everything that is in the store now."""
    head = store.value("SELECT coalesce(max(notification_id), 0) FROM ras.stored_events")
    positions = store.positions()
    return all(positions.get(projection_position(p.name), -1) >= head for p in PROJECTIONS)


def wait_until_settled(
    store: PostgresProbe, topics: Topics, transactional_id: str, *, projected: bool = True
) -> None:
    """Wait until everything that lies in Kafka is taken in and what follows from it is published,
    and, unless no projector runs, projected.
    """
    wait_until(
        lambda: (
            all_is_taken_in(store, topics)
            and all_is_published(store, transactional_id)
            and (all_is_projected(store) or not projected)
        ),
        what="everything is taken in, published and projected",
        deadline_s=60.0,
        state=lambda: f"{taken_in(store)} messages are taken in; {store.positions()}",
    )


def check_published_once(store: PostgresProbe, topics: Topics, transactional_id: str) -> None:
    """Committed readers see what the store holds, all of it, once, each key's in order, and the position."""
    wanted = announced(store)
    found = topics.read(OUTPUT_TOPICS)
    ids = Counter(record.envelope["event_id"] for record in found)
    assert [event_id for event_id, times in ids.items() if times > 1] == [], "records seen more than once"
    expected = {(m.topic, m.key, m.value, m.headers) for m in wanted}
    seen = {(r.topic, r.key, r.value, tuple((n, v.encode()) for n, v in r.headers.items())) for r in found}
    assert len(found) == len(wanted), f"{len(found)} records for {len(wanted)} announcements"
    assert seen == expected
    assert _in_order_of_keys((r.topic, r.key, r.value) for r in found) == _in_order_of_keys(
        (m.topic, m.key, m.value) for m in wanted
    )
    _check_position(store, topics, transactional_id)


def _check_position(store: PostgresProbe, topics: Topics, transactional_id: str) -> None:
    records = topics.read([PUBLISHER_POSITION])
    positions = [r.envelope["position"] for r in records if r.key == transactional_id.encode()]
    assert positions == sorted(positions), "the publisher's position went back"
    [head] = [number for number, _, _ in store.log()[-1:]]
    assert last_announcement(store) <= positions[-1] <= head


def check_taken_in_once(store: PostgresProbe, topics: Topics, sent: Sequence[Coordinates]) -> None:
    """Every message that was sent is taken in, once: by the counts, the positions and the events."""
    ends = topics.ends(INPUT_TOPICS)
    messages = Counter((at.topic, at.partition) for at in sent)
    counts = store.counts()
    for partition, end in ends.items():
        counted = counts.get(partition, IntakeCounts())
        kinds = counted.recorded + counted.repeated + counted.dead_lettered + counted.parked
        assert (partition, counted.taken_in) == (partition, kinds)
        assert (partition, counted.taken_in) == (partition, messages[partition])
        position = store.positions().get(f"intake/{partition[0]}/{partition[1]}", -1)
        assert (partition, position) == (partition, end - 1)
    facts = [e for e in recorded_events(store) if not isinstance(e, PUBLISHED_EVENTS)]
    origins = Counter(Coordinates(*_origin(event)) for event in facts)
    assert [at for at, times in origins.items() if times > 1] == [], "messages recorded more than once"
    assert origins.keys() <= set(sent)
    total = IntakeCounts()
    for counted in counts.values():
        total = summed(total, counted)
    assert len(facts) == total.recorded + total.dead_lettered + total.parked


def check_as_undisturbed(store: PostgresProbe, messages: Iterable[UpstreamMessage]) -> None:
    """Every batch ended as it does when nothing goes wrong, and said so last.

    Kafka keeps no order between partitions, so facts that superseded others on the way may differ.
    """
    streams: dict[str, list[DomainEvent]] = defaultdict(list)
    for event in recorded_events(store):
        streams[event.originator_id].append(event)
    expected = _undisturbed(messages)
    assert streams.keys() == expected.keys()
    for stream_id, events in streams.items():
        batch = BatchAggregate.replay(stream_id, events)
        model = BatchAggregate.replay(stream_id, expected[stream_id])
        assert (batch.id, batch.overall_status, batch.counts) == (
            model.id,
            model.overall_status,
            model.counts,
        )
        assert _last_outcomes(events) == _last_outcomes(expected[stream_id])


def _undisturbed(messages: Iterable[UpstreamMessage]) -> dict[str, list[DomainEvent]]:
    """Return the events of each stream when `messages` are taken in in their order, by one process."""
    batches: dict[str, BatchAggregate] = {}
    events: dict[str, list[DomainEvent]] = defaultdict(list)
    for intake in intakes_of(messages):
        assert isinstance(intake.outcome, Command)
        stream_id = batch_stream_id(intake.outcome.batch_id)
        batch = batches.setdefault(stream_id, BatchAggregate(stream_id))
        intake.outcome.apply(batch)
        events[stream_id] += batch.collect_events()
    return events


_COUNTS: Final = {"completed_essays", "phase_results", "processing_duration_seconds"}
_ORIGIN: Final = {"originator_version", "causation", "happened_at", "revision"}


def _last_outcomes(events: Iterable[DomainEvent]) -> dict[str, Any]:
    """Return what the last announcement of each kind says.

    Where it comes from is left out, and of a batch that was stopped what had been counted by then: the
    stop is announced at once, and more results may come before or after it.
    """
    last = {type(event): event for event in events if isinstance(event, PUBLISHED_EVENTS)}
    outcomes = {}
    for kind, event in last.items():
        is_stop = isinstance(event, BatchResultsReady) and event.overall_status.stops_the_batch
        left_out = _ORIGIN | _COUNTS if is_stop else _ORIGIN
        outcomes[kind.topic] = {name: value for name, value in asdict(event).items() if name not in left_out}
    return outcomes


def _in_order_of_keys(records: Iterable[tuple[str, bytes | None, bytes]]) -> dict[Any, list[str]]:
    by_key: dict[Any, list[str]] = defaultdict(list)
    for topic, key, value in records:
        by_key[topic, key].append(orjson.loads(value)["event_id"])
    return by_key


def _origin(event: DomainEvent) -> tuple[str, int, int]:
    causation = event.causation
    return causation.topic, causation.partition, causation.offset
