"""Settings of the out-topics that do not keep the guarantees are named, each with the command that changes it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from application.topics import BATCH_RESULTS_READY, PUBLISHER_POSITION
from infrastructure.kafka.topic_advice import TopicFacts, advice

_GOOD = {"max.message.bytes": "10485760", "min.insync.replicas": "2", "cleanup.policy": "delete"}


def _of(topic: str, *, replicas: int = 3, brokers: int = 3, **changed: str) -> list[str]:
    return _with(topic, changed, replicas=replicas, brokers=brokers)


def _with(topic: str, changed: Mapping[str, str], *, replicas: int = 3, brokers: int = 3) -> list[str]:
    settings = _GOOD | {name.replace("_", "."): value for name, value in changed.items()}
    return list(advice({topic: TopicFacts(settings, replicas)}, brokers))


def test_topics_as_ras_needs_them_are_not_mentioned() -> None:
    assert _of(BATCH_RESULTS_READY) == []
    assert _of(PUBLISHER_POSITION, cleanup_policy="compact") == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"max_message_bytes": "1048588"}, "at most 1,048,588 bytes, and RAS may send 10,485,760"),
        ({"cleanup_policy": "compact"}, "deletes earlier announcements"),
        ({"cleanup_policy": "compact,delete"}, "deletes earlier announcements"),
        ({"min_insync_replicas": "1"}, "min.insync.replicas=1"),
        ({"min_insync_replicas": "3"}, "nothing is published while one broker is down"),
    ],
)
def test_a_setting_that_does_not_keep_the_guarantees_is_named(changed: dict[str, str], words: str) -> None:
    [sentence] = _with(BATCH_RESULTS_READY, changed)

    assert sentence.startswith(BATCH_RESULTS_READY)
    assert words in sentence


def test_a_single_copy_is_named_where_there_are_more_brokers() -> None:
    [sentence] = _of(BATCH_RESULTS_READY, replicas=1)

    assert "1 copy of each partition" in sentence
    assert _of(BATCH_RESULTS_READY, replicas=1, brokers=1, min_insync_replicas="1") == []


def test_a_topic_for_the_position_that_forgets_is_named() -> None:
    [sentence] = _of(PUBLISHER_POSITION)

    assert "cleanup.policy=compact" in sentence
