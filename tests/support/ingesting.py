"""Upstream's messages on their way into a store: in partitions, translated, taken in as an ingester does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

from application.aggregates import AggregateCache
from application.deciding import IngestResult, Intake
from application.ingest import IngestMicroBatch
from application.messages import IncomingMessage
from application.ports import EventStorePort, IntakeCounts, StalePositionError
from application.translate import translate
from application.translated_messages import TranslatedMessage
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate, batch_stream_id
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.script import START, BatchScript, draw_script
from infrastructure.demo.upstream import batch_messages
from infrastructure.eventstore.store import TRANSIENT_ERRORS
from tests.support.deciding import batch_id_in
from tests.support.fake_store import FakeEventStore, summed
from tests.support.upstream import RECEIVED_AT

PARTITIONS: Final = 3
_MOST_TRIES: Final = 100

Partition = tuple[str, int]


def small_batch(
    name: str = "small", *, essays: int = 3, failed: int = 0, rechecked: int = 0, assessed: bool = True
) -> BatchScript:
    """Return the course of one batch, always the same for the same `name`."""
    return draw_script(
        name,
        starts_at=START,
        user_id="teacher-0007",
        job_id=str(crc32(name.encode())),
        essays=essays,
        failed=failed,
        rechecked=rechecked,
        assessed=assessed,
    )


def messages_of(*scripts: BatchScript) -> list[UpstreamMessage]:
    """Return the messages of several batches, interleaved by their time."""
    messages = (message for script in scripts for message in batch_messages(script))
    return sorted(messages, key=lambda message: message.sent_at)


def in_partitions(messages: Iterable[UpstreamMessage]) -> list[IncomingMessage]:
    """Give messages their places in the topics, by key as Kafka does."""
    offsets: Counter[Partition] = Counter()
    placed = []
    for message in messages:
        partition = crc32(message.key or b"") % PARTITIONS
        offset = offsets[message.topic, partition]
        offsets[message.topic, partition] += 1
        timestamp_ms = int(message.sent_at.timestamp() * 1000)
        placed.append(
            IncomingMessage(
                message.topic, partition, offset, timestamp_ms, message.key, message.value, message.headers
            )
        )
    return placed


def intake_of(message: IncomingMessage) -> Intake:
    """Translate a message, received at RECEIVED_AT."""
    return Intake(message, translate(message, received_at=RECEIVED_AT))


def intakes_of(messages: Iterable[UpstreamMessage]) -> list[Intake]:
    """Place and translate messages."""
    return [intake_of(message) for message in in_partitions(messages)]


def batch_id_of_intake(intake: Intake) -> str | None:
    """Return the batch that a message speaks of, None where it is to become a dead letter."""
    return batch_id_in(intake.outcome) if isinstance(intake.outcome, TranslatedMessage) else None


class Ingestion:
    """What the ingester does around the use case: it keeps the positions, skips what is in, and tries again."""

    def __init__(self, store: EventStorePort, *, max_essays: int = 10_000) -> None:
        self.use_case = IngestMicroBatch(store, AggregateCache(max_essays))
        self.positions: dict[Partition, int] = {}

    def seek(self, intakes: Iterable[Intake]) -> None:
        """Read the positions of the partitions in which `intakes` lie."""
        partitions = dict.fromkeys((i.message.topic, i.message.partition) for i in intakes)
        self.positions.update(self.use_case.positions(list(partitions)))

    def take_in(self, intakes: Sequence[Intake]) -> IngestResult:
        """Take in what is not in yet, in one attempt; the use case's errors come through."""
        return self.use_case.take_in(self._new(intakes), self.positions)

    def insist(self, intakes: Sequence[Intake]) -> IngestResult:
        """Take in what is not in yet, whatever goes wrong on the way, as long as it may pass."""
        taken = IngestResult()
        for _ in range(_MOST_TRIES):
            try:
                if any(self._partition(intake) not in self.positions for intake in intakes):
                    self.seek(intakes)
                mine = self._new(intakes)
                if not mine:
                    return taken
                taken.add(self.use_case.take_in(mine, self.positions))
            except StalePositionError:
                self.positions.clear()
            except TRANSIENT_ERRORS:
                continue
        raise AssertionError(f"not taken in after {_MOST_TRIES} tries")

    def _new(self, intakes: Sequence[Intake]) -> list[Intake]:
        return [i for i in intakes if i.message.offset > self.positions[self._partition(i)]]

    @staticmethod
    def _partition(intake: Intake) -> Partition:
        return intake.message.topic, intake.message.partition


def take_in_cuts(ingestion: Ingestion, intakes: Sequence[Intake], sizes: Iterable[int]) -> None:
    """Take in `intakes` cut into micro-batches of `sizes`, and what is left in one."""
    begin = 0
    for size in sizes:
        ingestion.insist(intakes[begin : begin + size])
        begin += size
    ingestion.insist(intakes[begin:])


def dead_letter(topic: str, *, partition: int = 0, value: bytes | None = b"not json") -> Intake:
    """Return a message that nobody can read, the first of its partition."""
    headers = (("event_id", b"\x00\xff"), ("event_id", b"again"))
    return intake_of(IncomingMessage(topic, partition, 0, 1_772_870_400_000, b"key\xff", value, headers))


def total(store: FakeEventStore) -> IntakeCounts:
    """Return the counts of all topic-partitions together."""
    counts = IntakeCounts()
    for each in store.counts.values():
        counts = summed(counts, each)
    return counts


def events_of(store: FakeEventStore, script: BatchScript) -> list[DomainEvent]:
    """Return what is recorded of one batch; other streams may be unreadable."""
    stored = store.stream(batch_stream_id(script.batch_id))
    return [store.codec.to_domain_event(event) for event in stored]


def batch_of(store: FakeEventStore, script: BatchScript) -> BatchAggregate:
    """Return one batch as its recorded events describe it."""
    return BatchAggregate.replay(batch_stream_id(script.batch_id), events_of(store, script))
