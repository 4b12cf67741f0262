"""An out-topic whose max.message.bytes is small: what fits goes out, and what does not is parked until it fits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from application.restore import announcement_digest
from application.topics import BATCH_RESULTS_READY, PUBLISHER_POSITION
from infrastructure.demo.stream import stream
from infrastructure.eventstore.publisher_position import publisher_position
from tests.support.accounts import (
    all_is_taken_in,
    announced,
    check_published_once,
    taken_in,
    wait_until_settled,
)
from tests.support.backups import bring_back, save
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Sendable, Topics
from tests.support.waiting import wait_until

_MESSAGES: Final = list(stream(20_261_129, 12, class_sizes=(1, 3)))
_LATER: Final = list(stream(20_261_131, 4, class_sizes=(1, 3)))


def _ingested(topics: Topics, store: PostgresProbe, messages: Iterable[Sendable]) -> None:
    wanted = taken_in(store) + len(topics.send(messages))
    wait_until(lambda: taken_in(store) == wanted, what="all is in", state=lambda: taken_in(store))


def _small(topics: Topics, limit: int) -> None:
    topics.delete(BATCH_RESULTS_READY)
    topics.create(BATCH_RESULTS_READY, {"max.message.bytes": str(limit)}, partitions=3)


def _printed(ras: Installation, *command: str) -> Any:
    ended = ras.run(*command, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(next(line for line in ended.output.splitlines() if line[:1] in "[{"))


def test_messages_that_fit_one_by_one_go_out_in_smaller_batches(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    _small(ras_topics, 4000)
    ras.start("ingest").wait_until_ready()
    _ingested(ras_topics, store, _MESSAGES)

    ras.start("publish")

    wait_until_settled(store, ras_topics, ras.transactional_id, projected=False)
    check_published_once(store, ras_topics, ras.transactional_id)


@pytest.mark.parametrize("codec", ["none", "gzip"])
def test_what_does_not_fit_waits_alone_and_goes_out_once_when_the_topic_is_changed(
    ras: Installation, ras_topics: Topics, store: PostgresProbe, codec: str
) -> None:
    _small(ras_topics, 500)  # no announcement fits, compressed or not
    ras.start("ingest").wait_until_ready()
    ras.start("project").wait_until_ready()
    _ingested(ras_topics, store, _MESSAGES)
    publisher = ras.start("publish", kafka_compression_type=codec)
    reason = publisher.wait_for_health("degraded", saying="ras parked list", deadline_s=60)

    assert f"The topic {BATCH_RESULTS_READY} refuses the event" in reason
    assert "max.message.bytes" in reason
    assert "does not answer" not in reason
    wait_until_settled(store, ras_topics, ras.transactional_id)
    assert ras_topics.read([BATCH_RESULTS_READY]) == []
    assert ras_topics.read()
    assert {row["stream_id"] for row in _printed(ras, "parked", "list")} == {
        stream_id for _, stream_id, _ in store.log() if stream_id.startswith("batch-")
    }
    assert any(BATCH_RESULTS_READY in warning for warning in _printed(ras, "status")["faults"])
    assert any(BATCH_RESULTS_READY in warning for warning in _printed(ras, "init")["warnings"])
    checked = _printed(ras, "check")
    assert any("are parked" in note for note in checked["notes"])

    publisher.kill()  # what is parked is found again, and what comes behind it waits too
    publisher = ras.start("publish", kafka_compression_type=codec)
    publisher.wait_for_health("degraded", saying="ras parked list", deadline_s=60)
    _ingested(ras_topics, store, _LATER)
    ras_topics.set(BATCH_RESULTS_READY, {"max.message.bytes": "10485760"})

    publisher.wait_for_health("ok", deadline_s=60)
    wait_until_settled(store, ras_topics, ras.transactional_id)
    assert _printed(ras, "parked", "list") == []
    check_published_once(store, ras_topics, ras.transactional_id)
    assert _printed(ras, "check", "--incremental")["consistent"]


def test_what_is_parked_stays_so_when_the_position_is_lost_and_after_a_restore_and_goes_out_once(
    ras: Installation, ras_topics: Topics, store: PostgresProbe, tmp_path: Path
) -> None:
    _small(ras_topics, 500)
    ingester = ras.start("ingest").wait_until_ready()
    _ingested(ras_topics, store, _MESSAGES)
    _publish_what_fits(ras, ras_topics, store)
    parked = _printed(ras, "parked", "list")
    position = store.positions()[publisher_position(ras.transactional_id)]

    ras_topics.delete(PUBLISHER_POSITION)
    assert ras.run("init").exit_code == 0
    _publish_what_fits(ras, ras_topics, store, "--resume-at", str(position))
    assert _printed(ras, "parked", "list") == parked

    save(ras.database_url, tmp_path / "backup.sql")
    _ingested(ras_topics, store, _LATER)
    _publish_what_fits(ras, ras_topics, store)
    assert len(_printed(ras, "parked", "list")) > len(parked)
    ingester.terminate()
    bring_back(ras.database_url, tmp_path / "backup.sql")
    ras.start("ingest").wait_until_ready()
    wait_until(lambda: all_is_taken_in(store, ras_topics), what="all is in again", deadline_s=120)
    publisher = ras.start("publish", "--after-restore")
    publisher.wait_for_health("degraded", saying="ras parked list", deadline_s=120)
    ras_topics.set(BATCH_RESULTS_READY, {"max.message.bytes": "10485760"})

    publisher.wait_for_health("ok", deadline_s=120)
    wait_until_settled(store, ras_topics, ras.transactional_id, projected=False)
    assert _printed(ras, "parked", "list") == []
    due = [message for message in announced(store) if message.topic == BATCH_RESULTS_READY]
    sent = [announcement_digest(record.value) for record in ras_topics.read([BATCH_RESULTS_READY])]
    assert sorted(map(str, sent)) == sorted(str(announcement_digest(message.value)) for message in due)
    assert len(set(sent)) == len(sent)


def _publish_what_fits(ras: Installation, topics: Topics, store: PostgresProbe, *arguments: str) -> None:
    publisher = ras.start("publish", *arguments)
    publisher.wait_for_health("degraded", saying="ras parked list", deadline_s=120)
    wait_until_settled(store, topics, ras.transactional_id, projected=False)
    assert publisher.metric("ras_publisher_parked_messages") > 0
    assert publisher.terminate() == 0
