"""ACLs on topics: which topics this user may not see.

A broker leaves out the topics that a user may not describe, and the client logs that and goes on without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NoError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.metadata import MetadataRequest


def unauthorized(consumer: AIOKafkaConsumer, topics: Iterable[str]) -> list[str]:
    """Return those of the consumer's `topics` that its user may not describe, as far as the client has asked."""
    return sorted(consumer._client.cluster.unauthorized_topics & set(topics))  # noqa: SLF001 - only the client knows


async def check_authorized(consumer: AIOKafkaConsumer, topics: Iterable[str]) -> None:
    """Raise TopicAuthorizationFailedError with the names of assigned `topics` that the user may not describe."""
    await consumer._client.force_metadata_update()  # noqa: SLF001 - asking for offsets would wait in vain
    if lacking := unauthorized(consumer, topics):
        raise TopicAuthorizationFailedError(*lacking)


async def described(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> list[Mapping[str, Any]]:
    """Return Kafka's descriptions of those of `topics` that exist, and create none.

    Raises TopicAuthorizationFailedError with the names of those that the user may not describe.
    """
    # aiokafka's own request lets the broker create what is missing.
    request = MetadataRequest(sorted(set(topics)), allow_auto_topic_creation=False)
    found = (await admin._send_request(request)).to_object()["topics"]  # noqa: SLF001
    errors = {str(topic["topic"]): for_code(topic["error_code"]) for topic in found}
    if lacking := sorted(name for name, error in errors.items() if error is TopicAuthorizationFailedError):
        raise TopicAuthorizationFailedError(*lacking)
    for name, error in errors.items():
        if error not in (NoError, UnknownTopicOrPartitionError) and not error.retriable:
            raise error(name)
    return [topic for topic in found if errors[str(topic["topic"])] is not UnknownTopicOrPartitionError]
