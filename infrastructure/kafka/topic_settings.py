"""What topics are set to, as far as this Kafka user may know."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from infrastructure.kafka import clients

MAX_MESSAGE_BYTES: Final = "max.message.bytes"
_TIMEOUT_S: Final = 5.0


async def topic_settings(bootstrap_servers: str, topics: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Return all settings of each topic that exists and whose settings may be read (ACL DESCRIBE_CONFIGS).

    Raises aiokafka's errors where Kafka does not answer or does not know the request.
    """
    admin = clients.admin(bootstrap_servers)
    try:
        await admin.start()
        answers = await admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        )
    finally:
        await admin.close()
    return {
        str(name): {str(entry[0]): str(entry[1]) for entry in entries}
        for answer in answers
        for error, _, _, name, entries in answer.resources
        if error == 0
    }


async def largest_messages(bootstrap_servers: str, topics: Sequence[str]) -> dict[str, int]:
    """Return the max.message.bytes of the topics in bytes; none of a topic whose settings are not to be known."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            found = await topic_settings(bootstrap_servers, topics)
    except (KafkaError, TimeoutError, OSError):
        return {}
    return {topic: int(settings[MAX_MESSAGE_BYTES]) for topic, settings in found.items()}
