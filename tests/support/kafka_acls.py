"""The ACLs that each role needs, as `docs/operations.md` lists them: (resource type, name, operation)."""

from __future__ import annotations

from application.topics import INPUT_TOPICS, OUTPUT_TOPICS, PUBLISHER_POSITION
from infrastructure.kafka.topics import partitions_by_topic

Acl = tuple[str, str, str]
"""With Strimzi's names; the cluster has no name."""


def ingester(group: str) -> set[Acl]:
    """What `ras ingest` needs. READ includes DESCRIBE."""
    return {*(("topic", topic, "Read") for topic in INPUT_TOPICS), ("group", group, "Read")}


def publisher(transactional_id: str) -> set[Acl]:
    """What `ras publish` needs. WRITE includes DESCRIBE."""
    return {
        *(("topic", topic, "Write") for topic in (*OUTPUT_TOPICS, PUBLISHER_POSITION)),
        ("topic", PUBLISHER_POSITION, "Read"),
        ("transactionalId", transactional_id, "Write"),
    }


def operator() -> set[Acl]:
    """What `ras check`, `ras status` and `ras outbox` need."""
    return {("topic", topic, "Read") for topic in partitions_by_topic()}


def initialiser() -> set[Acl]:
    """What `ras init` needs."""
    asked = {
        ("topic", topic, operation)
        for topic in partitions_by_topic()
        for operation in ("Describe", "DescribeConfigs")
    }
    return {("cluster", "", "Create"), *asked}
