"""The publisher's place in the log: a compacted topic, and what happens when it cannot be trusted."""

from __future__ import annotations

from typing import Final

import pytest

from application.envelopes import OutgoingMessage
from application.topics import PUBLISHER_POSITION
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from infrastructure.eventstore.publisher_position import publisher_position
from tests.support.accounts import (
    announced,
    check_published_once,
    last_announcement,
    wait_until_settled,
)
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_SEED: Final = 20_260_311
_COMPACTED_AT_ONCE: Final = {
    "cleanup.policy": "compact",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
    "max.compaction.lag.ms": "200",
}


@pytest.fixture
def parts() -> list[list[UpstreamMessage]]:
    """A stream in three parts."""
    messages = list(stream(_SEED, 40, class_sizes=(1, 3, 8)))
    third = len(messages) // 3
    return [messages[:third], messages[third : 2 * third], messages[2 * third :]]


@pytest.fixture
def ingesting(ras: Installation) -> Installation:
    """RAS with an ingester at work."""
    ras.start("ingest").wait_until_ready()
    return ras


def test_init_makes_the_topic_compacted_with_one_partition(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ras_topics.delete(PUBLISHER_POSITION)

    made = ras.run("init")

    assert (made.exit_code, made.output.strip()) == (
        0,
        f"The tables are ready; 1 topic created: {PUBLISHER_POSITION}.",
    )
    assert ras_topics.settings(PUBLISHER_POSITION)["cleanup.policy"] == "compact"
    assert list(ras_topics.ends([PUBLISHER_POSITION])) == [(PUBLISHER_POSITION, 0)]


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_init_refuses_a_topic_that_would_forget(ras: Installation, ras_topics: Topics, policy: str) -> None:
    ras_topics.delete(PUBLISHER_POSITION)
    ras_topics.create(PUBLISHER_POSITION, {"cleanup.policy": policy})

    refused = ras.run("init")

    assert refused.exit_code == 1
    assert f"ras: The topic {PUBLISHER_POSITION} has cleanup.policy={policy}" in refused.output
    assert "--add-config cleanup.policy=compact" in refused.output


def test_the_position_is_found_after_kafka_has_compacted_it(
    ingesting: Installation,
    ras_topics: Topics,
    store: PostgresProbe,
    parts: list[list[UpstreamMessage]],
) -> None:
    ras_topics.delete(PUBLISHER_POSITION)
    ras_topics.create(PUBLISHER_POSITION, _COMPACTED_AT_ONCE)
    for part in parts:
        publisher = ingesting.start("publish", publish_max_events="1").wait_until_ready()
        _play(ingesting, ras_topics, store, part)
        publisher.kill()
        end = ras_topics.ends([PUBLISHER_POSITION])[PUBLISHER_POSITION, 0]

        def is_compacted(end: int = end) -> bool:
            # The newest segment is never compacted, and closed only by a record that comes after its time.
            ras_topics.send([OutgoingMessage(PUBLISHER_POSITION, b"another publisher", b"{}", ())])
            return _positions_kept(ras_topics, ingesting, end) == 1

        wait_until(
            is_compacted,
            what="one record is left of this publisher's",
            state=lambda end=end: f"{_positions_kept(ras_topics, ingesting, end)} in {end} offsets",  # type: ignore[misc]
        )

    ingesting.start("publish").wait_until_ready()

    check_published_once(store, ras_topics, ingesting.transactional_id)


def test_a_publisher_whose_topic_has_lost_its_memory_refuses_and_goes_on_where_it_is_told(
    ingesting: Installation,
    ras_topics: Topics,
    store: PostgresProbe,
    parts: list[list[UpstreamMessage]],
) -> None:
    first = ingesting.start("publish").wait_until_ready()
    _play(ingesting, ras_topics, store, parts[0])
    first.terminate()
    copy = store.positions()[publisher_position(ingesting.transactional_id)]
    ras_topics.delete(PUBLISHER_POSITION)
    ingesting.run("init")
    ras_topics.send(parts[1])

    refused = ingesting.run("publish")

    assert refused.exit_code == 1
    assert (
        f"ras: Kafka's topic {PUBLISHER_POSITION} says that nothing is published, but PostgreSQL remembers "
        f"{copy}: the topic has lost its memory. Events 1 to {copy} would be sent a second time. Start with "
        f"`ras publish --resume-at {copy}` to go on after them"
    ) in refused.output

    ingesting.start("publish", "--resume-at", str(copy)).wait_until_ready()
    _play(ingesting, ras_topics, store, parts[2])
    check_published_once(store, ras_topics, ingesting.transactional_id)


def test_a_publisher_refuses_a_store_that_was_restored_to_an_earlier_day(
    ingesting: Installation,
    ras_topics: Topics,
    store: PostgresProbe,
    parts: list[list[UpstreamMessage]],
) -> None:
    publisher = ingesting.start("publish").wait_until_ready()
    _play(ingesting, ras_topics, store, parts[0])
    publisher.terminate()
    published = store.positions()[publisher_position(ingesting.transactional_id)]
    earlier = last_announcement(store) - 1
    store.execute("DELETE FROM ras.stored_events WHERE notification_id > %s", earlier)
    store.execute("UPDATE ras.positions SET position = least(position, %s)", earlier)

    refused = ingesting.run("publish")

    assert refused.exit_code == 1
    assert (
        f"ras: Kafka's topic {PUBLISHER_POSITION} says that everything up to {published} is published, but "
        f"the event store ends at {earlier}: it was restored to an earlier day."
    ) in refused.output
    assert "start with `ras publish --after-restore`" in refused.output


def test_a_position_beyond_the_store_is_refused_because_it_would_skip_what_is_to_come(
    ingesting: Installation, store: PostgresProbe
) -> None:
    refused = ingesting.run("publish", "--resume-at", "7")

    assert refused.exit_code == 1
    assert "ras: The event store ends at 0: with `--resume-at 7` the events up to 7" in refused.output
    assert ingesting.run("publish", "--resume-at", "0", "--after-restore").exit_code == 2


def test_a_copy_that_was_written_too_late_does_no_harm(
    ingesting: Installation,
    ras_topics: Topics,
    store: PostgresProbe,
    parts: list[list[UpstreamMessage]],
) -> None:
    publisher = ingesting.start("publish").wait_until_ready()
    _play(ingesting, ras_topics, store, parts[0])
    publisher.kill()
    store.execute("UPDATE ras.positions SET position = position / 2 WHERE name LIKE 'publisher/%%'")

    ingesting.start("publish").wait_until_ready()
    _play(ingesting, ras_topics, store, parts[1])

    check_published_once(store, ras_topics, ingesting.transactional_id)


def _positions_kept(topics: Topics, ras: Installation, end: int) -> int:
    """Return how many records of this publisher there are before the offset `end`."""
    records = topics.read([PUBLISHER_POSITION])
    return sum(r.key == ras.transactional_id.encode() and r.at.offset < end for r in records)


def _play(ras: Installation, topics: Topics, store: PostgresProbe, messages: list[UpstreamMessage]) -> None:
    """Send messages and wait until what follows from all messages so far is published."""
    topics.send(messages)
    wait_until_settled(store, topics, ras.transactional_id, projected=False)
    assert announced(store)
