"""Creates missing topics, and checks the one that must be compacted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, TopicAlreadyExistsError, for_code

from application.topics import INPUT_TOPICS, OUTPUT_TOPICS, PUBLISHER_POSITION
from infrastructure.errors import OperatorError
from infrastructure.kafka import clients
from infrastructure.kafka.acls import described

PARTITIONS: Final = 3
"""What upstream gives its topics."""

_REPLICAS: Final = 3
"""Copies of each partition, where there are as many brokers."""

MAX_MESSAGE_BYTES: Final = 10 * 1024 * 1024


class TopicSettingsError(OperatorError):
    """A topic exists with settings that would lose data; the text says which and what to run."""


class UnfitBrokerError(OperatorError):
    """The broker lacks requests that are needed to set up topics; the text says what to do."""


def partitions_by_topic() -> dict[str, int]:
    """Return every topic that RAS reads or writes, with the number of partitions it is created with."""
    return dict.fromkeys((*INPUT_TOPICS, *OUTPUT_TOPICS), PARTITIONS) | {PUBLISHER_POSITION: 1}


async def existing_partitions(bootstrap_servers: str, topics: Sequence[str]) -> list[tuple[str, int]]:
    """Return the partitions that `topics` have in Kafka: an operator may have made them with other numbers.

    A topic that does not exist has none.
    """
    admin = clients.admin(bootstrap_servers)
    try:
        await admin.start()
        there = await described(admin, topics)
    finally:
        await admin.close()
    return sorted(
        (str(topic["topic"]), int(partition["partition"]))
        for topic in there
        for partition in topic["partitions"]
    )


async def create_missing_topics(bootstrap_servers: str) -> list[str]:
    """Create the topics that do not exist yet and return their names.

    Topics of upstream are created too, as upstream creates them, so that RAS can start first. Raises
    TopicSettingsError if the position topic exists and is not compacted: it would forget the position; and
    UnfitBrokerError for the broker that another `ras up` brings.
    """
    admin = clients.admin(bootstrap_servers)
    try:
        await admin.start()
        wanted = partitions_by_topic()
        existing = {str(topic["topic"]) for topic in await described(admin, wanted)}
        missing = {name: count for name, count in wanted.items() if name not in existing}
        if missing:
            brokers = (await admin.describe_cluster())["brokers"]
            copies = min(_REPLICAS, len(brokers))
            answer = await admin.create_topics(
                [_new_topic(name, count, copies) for name, count in missing.items()]
            )
            for name, code, *message in answer.topic_errors:
                error = for_code(code)
                if code != 0 and error is not TopicAlreadyExistsError:
                    raise error(f"{name}: {message[0] if message else ''}")
        if PUBLISHER_POSITION in existing:
            await _check_compaction(admin)
        return sorted(missing)
    except IncompatibleBrokerVersion as error:
        raise UnfitBrokerError(
            f"The Kafka at {bootstrap_servers} cannot set up topics ({error}). If it is the broker that a `ras up` brings, "
            "that is for this `ras up` alone: unset RAS_KAFKA_BOOTSTRAP_SERVERS, and another one is brought, or name a "
            "Kafka of your own."
        ) from error
    finally:
        await admin.close()


def _new_topic(name: str, partitions: int, copies: int) -> NewTopic:
    configs = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    if name == PUBLISHER_POSITION:
        configs["cleanup.policy"] = "compact"
    return NewTopic(name, num_partitions=partitions, replication_factor=copies, topic_configs=configs)


async def _check_compaction(admin: AIOKafkaAdminClient) -> None:
    resource = ConfigResource(ConfigResourceType.TOPIC, PUBLISHER_POSITION, {"cleanup.policy": None})
    for answer in await admin.describe_configs([resource]):
        for each in answer.resources:
            policy = {entry[0]: entry[1] for entry in each[4]}.get("cleanup.policy")
            if policy != "compact":
                raise TopicSettingsError(
                    f"The topic {PUBLISHER_POSITION} has cleanup.policy={policy}, so Kafka may delete the "
                    "publisher's position. Set it: kafka-configs --alter --entity-type topics --entity-name "
                    f"{PUBLISHER_POSITION} --add-config cleanup.policy=compact"
                )
