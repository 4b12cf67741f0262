"""Fills an event store without Kafka, as fast as one process ingests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice

from application.aggregates import AggregateCache
from application.deciding import Intake
from application.ingest import IngestMicroBatch
from application.messages import IncomingMessage
from application.topics import INPUT_TOPICS
from application.translate import translate
from benchmarks.servers import Message
from infrastructure.roles import bootstrap

_MICRO_BATCH = 2000


def ingest_all(database_url: str, messages: Iterable[Message], *, partition: int = 0) -> None:
    """Ingest `messages` in micro-batches, each in a transaction, from a partition that nothing came from before."""
    store = bootstrap.event_store(database_url)
    use_case = IngestMicroBatch(store, AggregateCache(400_000))
    positions = use_case.positions([(topic, partition) for topic in INPUT_TOPICS])
    source, offset = iter(messages), 0
    while some := list(islice(source, _MICRO_BATCH)):
        received_at = datetime.now(UTC)
        intakes = []
        for topic, key, value in some:
            message = IncomingMessage(topic, partition, offset, 0, key, value)
            intakes.append(Intake(message, translate(message, received_at=received_at)))
            offset += 1
        use_case.take_in(intakes, positions)
    store.close()
