"""What RAS needs of the topics that it writes, compared with how they are set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from aiokafka.errors import KafkaError

from application.topics import OUTPUT_TOPICS, PUBLISHER_POSITION
from infrastructure.kafka import clients
from infrastructure.kafka.acls import described
from infrastructure.kafka.topic_settings import MAX_MESSAGE_BYTES, topic_settings
from infrastructure.kafka.topics import MAX_MESSAGE_BYTES as LARGEST

_WRITTEN: Final = (*OUTPUT_TOPICS, PUBLISHER_POSITION)
_ALTER: Final = "kafka-configs --alter --entity-type topics --entity-name {} --add-config {}={}"


class TopicFacts(NamedTuple):
    """One topic: its settings as Kafka writes them, and the fewest copies of a partition."""

    settings: Mapping[str, str]
    replicas: int


async def topic_advice(bootstrap_servers: str) -> list[str]:
    """Return a sentence for each setting of a topic that RAS writes that does not keep the guarantees.

    Topics that do not exist, or whose settings this user may not read, are left out. Raises aiokafka's errors where Kafka
    does not answer.
    """
    admin = clients.admin(bootstrap_servers)
    try:
        await admin.start()
        there = await described(admin, _WRITTEN)
        brokers = len((await admin.describe_cluster())["brokers"])
    finally:
        await admin.close()
    replicas = {
        str(topic["topic"]): min((len(p["replicas"]) for p in topic["partitions"]), default=0)
        for topic in there
    }
    try:
        settings = await topic_settings(bootstrap_servers, list(replicas)) if replicas else {}
    except KafkaError:
        return []
    return list(
        advice({topic: TopicFacts(known, replicas[topic]) for topic, known in settings.items()}, brokers)
    )


def advice(topics: Mapping[str, TopicFacts], brokers: int) -> Iterator[str]:
    """Yield the sentences on `topics` of a cluster of so many brokers. One broker has no other to copy to."""
    for topic, (settings, replicas) in sorted(topics.items()):
        largest = int(settings.get(MAX_MESSAGE_BYTES, LARGEST))
        if largest < LARGEST:
            yield (
                f"{topic} takes messages of at most {largest:,} bytes, and RAS may send {LARGEST:,}. Larger ones are parked: "
                f"{_ALTER.format(topic, MAX_MESSAGE_BYTES, LARGEST)}"
            )
        policy = settings.get("cleanup.policy", "")
        if topic == PUBLISHER_POSITION and policy != "compact":
            yield (
                f"{topic} has cleanup.policy={policy}, so Kafka may delete the publisher's position: "
                f"{_ALTER.format(topic, 'cleanup.policy', 'compact')}"
            )
        elif topic != PUBLISHER_POSITION and "compact" in policy:
            yield (
                f"{topic} has cleanup.policy={policy}, so Kafka deletes earlier announcements of a key, which a consumer may "
                f"not have read: {_ALTER.format(topic, 'cleanup.policy', 'delete')}"
            )
        if brokers > 1:
            yield from _copies(topic, int(settings.get("min.insync.replicas", 1)), replicas)


def _copies(topic: str, in_sync: int, replicas: int) -> Iterator[str]:
    if replicas < 2:
        yield (
            f"{topic} has 1 copy of each partition: what is published is lost with that broker. Give it 3 copies "
            "(kafka-reassign-partitions)."
        )
    elif in_sync < 2:
        yield (
            f"{topic} has min.insync.replicas={in_sync}: a record counts as published when one broker has it, and is lost "
            f"with that broker: {_ALTER.format(topic, 'min.insync.replicas', 2)}"
        )
    elif in_sync >= replicas:
        yield (
            f"{topic} has min.insync.replicas={in_sync} and {replicas} copies: nothing is published while one broker is down. "
            "Give it one copy more (kafka-reassign-partitions)."
        )
