"""Reads what RAS publishes, from the beginning, as any other consumer would."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Final

from aiokafka import TopicPartition

from application.topics import ANNOUNCEMENT_TOPICS
from infrastructure.kafka import clients
from infrastructure.kafka.topics import PARTITIONS

_WAIT_MS: Final = 20
"""The embedded broker lets an idle fetch wait for its whole time, new records or not: keep it short."""


@dataclass(frozen=True, slots=True)
class HeardRecord:
    """A record from one of the output topics. `heard_at` is when we had it (`perf_counter` seconds)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    heard_at: float


class Observer:
    """Listens to the topics of announcements without a consumer group; `heard` holds all records so far."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self.heard: list[HeardRecord] = []

    async def run(self) -> None:
        """Listen until cancelled. Raises KafkaError when Kafka is unavailable."""
        consumer = clients.consumer(
            self._bootstrap_servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_WAIT_MS,
        )
        await consumer.start()
        try:
            partitions = [
                TopicPartition(topic, number) for topic in ANNOUNCEMENT_TOPICS for number in range(PARTITIONS)
            ]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            while True:
                fetched = await consumer.getmany(timeout_ms=1000)
                heard_at = perf_counter()
                self.heard += (
                    HeardRecord(
                        record.topic,
                        record.partition,
                        record.offset,
                        record.key,
                        record.value,
                        tuple(record.headers),
                        heard_at,
                    )
                    for records in fetched.values()
                    for record in records
                )
        finally:
            await consumer.stop()
