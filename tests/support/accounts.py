"""The accounts of a run: what went in, what is recorded and what came out, counted against each other.

Each check raises AssertionError and names what is missing or too much.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

import orjson

from application.envelopes import OUTBOX_EVENTS, OutgoingMessage, outgoing_messages
from application.ports import IntakeCounts
from application.topics import INPUT_TOPICS, OUTPUT_TOPICS, PUBLISHER_POSITION
from application.translated_messages import TranslatedMessage
from domain.aggregate import DomainEvent
from domain.announcement_check import check_announcements
from domain.assessment_events import JudgeDecisionFailed, JudgeDecisionRecorded
from domain.batch import BATCH_STREAMS, BatchAggregate
from domain.batch_events import (
    NOTIFIED_EVENTS,
    AssessmentCompleted,
    AssessmentFailed,
    BatchProgressed,
    EssaySpellchecked,
    EssaySpellcheckFailed,
    PhaseConcluded,
)
from domain.dead_letters import MessageDeadLettered
from domain.parking import ParkableStream
from infrastructure.demo.message import UpstreamMessage
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.positions import projection_position
from infrastructure.eventstore.publisher_position import publisher_position
from projections.catalogue import PROJECTIONS
from tests.support.deciding import decide
from tests.support.fake_store import summed
from tests.support.ingesting import intakes_of
from tests.support.postgres_probe import PostgresProbe
from tests.support.topics import Coordinates, Topics
from tests.support.waiting import wait_until


def recorded_events(store: PostgresProbe) -> list[DomainEvent]:
    """Return every event of the store in the order of the log."""
    codec = event_codec()
    return [codec.to_domain_event(stored) for stored in store.stored()]


def announced(store: PostgresProbe, *, after: int = 0) -> list[OutgoingMessage]:
    """Return every record that must come out of Kafka for events after a notification id, in the order of the log."""
    numbers = [number for number, _, _ in store.log()]
    return [
        message
        for number, event in zip(numbers, recorded_events(store), strict=True)
        if number > after
        if isinstance(event, OUTBOX_EVENTS)
        for message in outgoing_messages(event)
    ]


def announcements(store: PostgresProbe) -> int:
    """Return how many records must come out of Kafka: two for an announcement, one for anything else."""
    topics = [event.topic for event in OUTBOX_EVENTS]
    query = (
        "SELECT coalesce(sum(CASE WHEN topic = ANY(%s) THEN 1 ELSE 2 END), 0)::bigint FROM ras.stored_events"
        " WHERE topic = ANY(%s)"
    )
    return int(store.value(query, [MessageDeadLettered.topic, BatchProgressed.topic], topics))


def taken_in(store: PostgresProbe) -> int:
    """Return how many messages were ingested so far."""
    return int(store.value("SELECT coalesce(sum(taken_in), 0)::bigint FROM ras.intake_counts"))


def all_is_taken_in(store: PostgresProbe, topics: Topics) -> bool:
    """Whether every message that lies in Kafka now is ingested."""
    return taken_in(store) == sum(topics.ends(INPUT_TOPICS).values())


def last_announcement(store: PostgresProbe) -> int:
    """Return the notification id of the last event that is to be published, 0 if there is none."""
    topics = [event.topic for event in OUTBOX_EVENTS]
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
        what="everything is ingested, published and projected",
        deadline_s=60.0,
        state=lambda: f"{taken_in(store)} messages are ingested; {store.positions()}",
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
    """Every message that was sent is ingested, once: by the counts, the positions and the events."""
    ends = topics.ends(INPUT_TOPICS)
    last = {partition: end - 1 for partition, end in ends.items()}
    # What is left to another ingester is passed over a little later.
    wait_until(lambda: store.ingested() == last, what="every position is at the end", state=store.ingested)
    messages = Counter((at.topic, at.partition) for at in sent)
    counts = store.counts()
    for partition in ends:
        counted = counts.get(partition, IntakeCounts())
        kinds = counted.recorded + counted.repeated + counted.dead_lettered + counted.parked
        assert (partition, counted.taken_in) == (partition, kinds)
        assert (partition, counted.taken_in) == (partition, messages[partition])
    facts = [e for e in recorded_events(store) if not isinstance(e, NOTIFIED_EVENTS)]
    recorded = Counter((event.originator_id, Coordinates(*_origin(event))) for event in facts)
    assert [at for at, times in recorded.items() if times > 1] == [], "messages recorded more than once"
    origins = {at for _, at in recorded}
    assert origins <= set(sent)
    total = IntakeCounts()
    for counted in counts.values():
        total = summed(total, counted)
    assert len(origins) == total.recorded + total.dead_lettered + total.parked


def check_as_undisturbed(store: PostgresProbe, messages: Iterable[UpstreamMessage]) -> None:
    """Every batch knows what it knows when nothing goes wrong, and has said what its facts call for."""
    check_streams_as_undisturbed(recorded_events(store), messages)


def check_streams_as_undisturbed(
    recorded: Iterable[DomainEvent], messages: Iterable[UpstreamMessage]
) -> None:
    """Compare the streams in `recorded` (in the order of the log) with those that `messages` lead to.

    Kafka keeps no order between partitions. What stands in the end is the same in each order, but what was
    announced on the way is not: an essay that failed and then passed is announced as failed, or never,
    depending on when its batch was registered. So a stream's announcements are held against its own facts,
    and not against those of a run in another order.
    """
    streams: dict[str, list[DomainEvent]] = defaultdict(list)
    for event in recorded:
        streams[event.originator_id].append(event)
    expected = _undisturbed(messages)
    assert streams.keys() == expected.keys()
    for stream_id, events in streams.items():
        assert (stream_id, _standing(events)) == (stream_id, _standing(expected[stream_id]))
        if not stream_id.startswith(BATCH_STREAMS):
            continue
        assert check_announcements(stream_id, events) == []
        batch = BatchAggregate.replay(stream_id, events)
        model = BatchAggregate.replay(stream_id, expected[stream_id])
        assert (stream_id, batch.overall_status, batch.counts) == (
            stream_id,
            model.overall_status,
            model.counts,
        )


def _undisturbed(messages: Iterable[UpstreamMessage]) -> dict[str, list[DomainEvent]]:
    """Return the events of each stream when `messages` are ingested in their order, by one process."""
    aggregates: dict[str, ParkableStream] = {}
    events: dict[str, list[DomainEvent]] = defaultdict(list)
    for intake in intakes_of(messages):
        assert isinstance(intake.outcome, TranslatedMessage)
        for event in decide(intake.outcome, aggregates):
            events[event.originator_id].append(event)
    return events


_ONE_QUESTION: Final[dict[type[DomainEvent], type[DomainEvent]]] = {
    EssaySpellcheckFailed: EssaySpellchecked,
    AssessmentFailed: AssessmentCompleted,
    JudgeDecisionFailed: JudgeDecisionRecorded,
}
"""Facts that answer the same question as another kind of fact: the newer of the two stands."""

_ORIGIN: Final = {"originator_version", "causation"}


def _standing(events: Iterable[DomainEvent]) -> dict[tuple[str, str | None], dict[str, Any]]:
    """Return the recorded facts that nothing superseded, by the question they answer.

    A phase outcome has no time but that of its sending, which differs between an original and its repeat.
    """
    standing = {}
    for fact in events:
        if isinstance(fact, NOTIFIED_EVENTS):
            continue
        question = _ONE_QUESTION.get(type(fact), type(fact))
        left_out = _ORIGIN | {"happened_at"} if isinstance(fact, PhaseConcluded) else _ORIGIN
        content = {name: value for name, value in asdict(fact).items() if name not in left_out}
        about = content.get("essay_id", content.get("phase", content.get("request_id")))
        standing[question.topic, about] = {"topic": fact.topic, **content}
    return standing


def _in_order_of_keys(records: Iterable[tuple[str, bytes | None, bytes]]) -> dict[Any, list[str]]:
    by_key: dict[Any, list[str]] = defaultdict(list)
    for topic, key, value in records:
        by_key[topic, key].append(orjson.loads(value)["event_id"])
    return by_key


def _origin(event: DomainEvent) -> tuple[str, int, int]:
    causation = event.causation
    return causation.topic, causation.partition, causation.offset
