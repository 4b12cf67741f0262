"""RAS's topics on the real broker: emptied for a test, written as upstream does, read as consumers do.

The tests' client is librdkafka and not the one that RAS uses, so that a fault of that one cannot hide
itself. All calls block.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, Protocol

import orjson
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it does not list what it exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from application.topics import OUTPUT_TOPICS
from infrastructure.kafka.topics import create_missing_topics, partitions_by_topic
from tests.support.kafka_settings import MESSAGE_MAX_BYTES
from tests.support.waiting import wait_until

_DEADLINE_S: Final = 30.0

Partition = tuple[str, int]


class Sendable(Protocol):
    """A message that can be sent: those of stream files and of generators alike."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]: ...


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where a message lies."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record as a consumer gets it."""

    at: Coordinates
    key: bytes | None
    value: bytes
    headers: Mapping[str, str]

    @property
    def topic(self) -> str:
        """The topic it was read from."""
        return self.at.topic

    @property
    def envelope(self) -> dict[str, Any]:
        """The value as JSON."""
        envelope: dict[str, Any] = orjson.loads(self.value)
        return envelope


class Topics:
    """The topics of RAS on one broker. Their names are fixed, so one test at a time has them."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})

    def renew(self) -> None:
        """Delete all topics of RAS and create them again, empty, as `ras init` does."""
        self.delete(*partitions_by_topic())
        asyncio.run(create_missing_topics(self.bootstrap_servers))
        self._wait_until_known(partitions_by_topic())

    def create(self, name: str, settings: Mapping[str, str], *, partitions: int = 1) -> None:
        """Create a topic in another way than RAS does."""
        _done(self._admin.create_topics([NewTopic(name, partitions, 1, config=dict(settings))]))
        self._wait_until_known([name])

    def add_partitions(self, name: str, total: int) -> None:
        """Give a topic more partitions, `total` in all."""
        _done(self._admin.create_partitions([NewPartitions(name, total)]))
        wait_until(lambda: self._known()[name] == total, what=f"{name} has {total} partitions")

    def delete(self, *names: str) -> None:
        """Delete topics and wait until the broker does not know them any more."""
        known = [name for name in names if name in self._known()]
        if known:
            _done(self._admin.delete_topics(known, operation_timeout=_DEADLINE_S))
            wait_until(
                lambda: self._known().keys().isdisjoint(names), what=f"{known} are deleted", state=self._known
            )

    def settings(self, topic: str) -> dict[str, str]:
        """Return a topic's settings."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        described = self._admin.describe_configs([resource])[resource].result(_DEADLINE_S)
        return {name: entry.value for name, entry in described.items()}

    def set(self, topic: str, settings: Mapping[str, str]) -> None:
        """Change settings of a topic."""
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        _done(self._admin.incremental_alter_configs([resource]))

    def drop_before(self, partition: Partition, offset: int) -> None:
        """Delete the records of a partition before `offset`, as retention does."""
        _done(self._admin.delete_records([TopicPartition(*partition, offset)]))

    def ends(self, topics: Iterable[str]) -> dict[Partition, int]:
        """Return the offset after the last record of each partition, control records included."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        known = self._known()
        wanted = {TopicPartition(topic, p): latest for topic in topics for p in range(known[topic])}
        found = self._admin.list_offsets(wanted)
        return {(p.topic, p.partition): f.result(_DEADLINE_S).offset for p, f in found.items()}

    def send(self, messages: Iterable[Sendable]) -> list[Coordinates]:
        """Send messages in their order and return where each lies once the broker has all of them."""
        with Sender(self.bootstrap_servers) as sender:
            return sender.send(messages)

    def read(self, topics: Sequence[str] = OUTPUT_TOPICS) -> list[Record]:
        """Return everything that is committed in `topics` now, each partition in its order."""
        with CommittedReader(self.bootstrap_servers, topics) as reader:
            reader.read_to_the_end()
            return reader.records

    def _wait_until_known(self, names: Iterable[str]) -> None:
        # The broker answers "created" a moment before it names the topic in its metadata.
        wait_until(lambda: self._known().keys() >= set(names), what=f"{names} are created", state=self._known)

    def _known(self) -> dict[str, int]:
        """Return the number of partitions of every topic."""
        topics = self._admin.list_topics(timeout=_DEADLINE_S).topics
        return {name: len(topic.partitions) for name, topic in topics.items()}


class Sender:
    """A producer as upstream's: each message acknowledged by the broker."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "enable.idempotence": True,
                "message.max.bytes": MESSAGE_MAX_BYTES,
                "linger.ms": 0,
                "log_level": 0,
            }
        )

    def send(
        self, messages: Iterable[Sendable], *, times_ms: Iterable[int] | None = None
    ) -> list[Coordinates]:
        """Send messages in their order and return where each lies once the broker has all of them.

        `times_ms` are their record times, by default those of sending.
        """
        places: dict[int, Coordinates] = {}
        count = 0
        times = repeat(0) if times_ms is None else times_ms
        for count, (message, time_ms) in enumerate(zip(messages, times, strict=False), 1):
            self._producer.produce(
                message.topic,
                message.value,
                key=message.key,
                headers=list(message.headers),
                timestamp=time_ms,
                on_delivery=_noting(places, count),
            )
            self._producer.poll(0)
        self._producer.flush(_DEADLINE_S)
        if len(places) != count:
            raise TimeoutError(f"the broker took {len(places)} of {count} messages within {_DEADLINE_S:g} s")
        return [places[number] for number in sorted(places)]

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.flush(_DEADLINE_S)


class CommittedReader:
    """Reads topics from their beginning and shows what is committed; `records` holds all so far."""

    def __init__(self, bootstrap_servers: str, topics: Sequence[str] = OUTPUT_TOPICS) -> None:
        self.records: list[Record] = []
        self._at_end: set[Partition] = set()
        self._partitions = {(t, p) for t in topics for p in range(partitions_by_topic()[t])}
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "the tests' readers commit nothing",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
                "log_level": 0,
            }
        )
        self._consumer.assign(
            [TopicPartition(*partition, OFFSET_BEGINNING) for partition in self._partitions]
        )

    def look(self) -> int:
        """Take what has come since the last look and return the number of all records so far."""
        for message in self._consumer.consume(10_000, timeout=0.005):
            self._take(message)
        return len(self.records)

    def read_to_the_end(self) -> None:
        """Read until every partition has been at its end. Only for a reader that has not looked yet."""

        def is_at_the_end() -> bool:
            self.look()
            return self._at_end == self._partitions

        wait_until(
            is_at_the_end,
            what="every partition is read to its end",
            state=lambda: f"{len(self.records)} records, not at the end: {self._partitions - self._at_end}",
        )

    def wait_for(self, count: int, *, deadline_s: float = _DEADLINE_S) -> None:
        """Read until there are `count` records or more."""
        wait_until(
            lambda: self.look() >= count,
            what=f"{count} records are committed",
            deadline_s=deadline_s,
            state=lambda: f"{len(self.records)} records",
        )

    def close(self) -> None:
        """End the connection."""
        self._consumer.close()

    def __enter__(self) -> CommittedReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, message: Any) -> None:
        error = message.error()
        if error is None:
            at = Coordinates(message.topic(), message.partition(), message.offset())
            headers = {name: value.decode() for name, value in message.headers() or ()}
            self.records.append(Record(at, message.key(), message.value(), headers))
        elif error.code() == KafkaError._PARTITION_EOF:
            self._at_end.add((message.topic(), message.partition()))
        elif not error.retriable() and error.code() not in _COMES_BACK:
            raise KafkaException(error)


_COMES_BACK: Final = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT)
"""What a reader is told while the broker is unavailable; it goes on by itself afterwards."""


def _noting(places: dict[int, Coordinates], number: int) -> Callable[[KafkaError | None, Any], None]:
    def note(error: KafkaError | None, message: Any) -> None:
        if error is not None:
            raise KafkaException(error)
        places[number] = Coordinates(message.topic(), message.partition(), message.offset())

    return note


def _done(futures: Mapping[Any, Any]) -> None:
    for future in futures.values():
        future.result(_DEADLINE_S)
