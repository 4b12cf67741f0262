"""Upstreams that write in transactions, topics of any codec, and record times that cannot be true."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from application.intake_positions import intake_position
from application.topics import ESSAY_SLOT_ASSIGNED, INPUT_TOPICS
from infrastructure.demo.stream import stream
from tests.support.accounts import taken_in
from tests.support.postgres_probe import PostgresProbe
from tests.support.raw_producer import send_at, send_compressed, send_in_one_transaction
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_MESSAGES: Final = list(stream(20_261_126, 12, class_sizes=(2, 5)))
_SLOT: Final = next(message for message in _MESSAGES if message.topic == ESSAY_SLOT_ASSIGNED)


def _wait_for(store: PostgresProbe, count: int) -> None:
    wait_until(
        lambda: taken_in(store) == count, what=f"{count} messages are in", state=lambda: taken_in(store)
    )


def _ingest_lags(ras: Installation) -> list[tuple[str, Any, Any]]:
    shown = ras.run("status", "--json")
    assert shown.exit_code == 0, shown.output
    readers = json.loads(shown.output)["readers"]
    return [(r["source"], r["lag"], r["lag_seconds"]) for r in readers if r["role"] == "ingest"]


def test_markers_and_aborted_messages_are_no_lag_and_no_gap(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ingester = ras.start("ingest").wait_until_ready()
    send_in_one_transaction(ras_topics.bootstrap_servers, _MESSAGES, then_abort=_MESSAGES[:40])
    _wait_for(store, len(_MESSAGES))

    def at_the_end() -> bool:
        ends = ras_topics.ends(INPUT_TOPICS)
        return all(store.positions().get(intake_position(*p), -1) == end - 1 for p, end in ends.items())

    wait_until(at_the_end, what="positions lie behind the markers", state=store.positions)
    assert {lag for _, lag, _ in _ingest_lags(ras)} == {0}
    assert ingester.terminate() == 0

    for partition, end in ras_topics.ends(INPUT_TOPICS).items():
        ras_topics.drop_before(partition, end)
    again = ras.start("ingest").wait_until_ready()
    ras_topics.send([_SLOT])
    _wait_for(store, len(_MESSAGES) + 1)
    assert again.terminate() == 0
    assert ras.run("check").exit_code == 0


def test_status_sees_no_lag_where_a_stopped_ingester_left_only_markers(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ingester = ras.start("ingest").wait_until_ready()
    ras_topics.send(_MESSAGES)
    _wait_for(store, len(_MESSAGES))
    ingester.terminate()
    send_in_one_transaction(ras_topics.bootstrap_servers, [], then_abort=_MESSAGES)

    assert {lag for _, lag, _ in _ingest_lags(ras)} == {0}


def test_messages_lost_behind_a_marker_are_still_refused(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ingester = ras.start("ingest").wait_until_ready()
    send_in_one_transaction(ras_topics.bootstrap_servers, _MESSAGES)
    _wait_for(store, len(_MESSAGES))
    ingester.terminate()
    lost = ras_topics.send([_SLOT])[0]
    ras_topics.drop_before((lost.topic, lost.partition), lost.offset + 1)

    refused = ras.run("ingest")

    assert refused.exit_code == 1
    assert f"{lost.topic}, partition {lost.partition}: offsets" in refused.output
    assert f"to {lost.offset} are gone from Kafka" in refused.output


def test_the_comparison_after_a_restore_ends_behind_markers(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ras.start("ingest").wait_until_ready()
    publisher = ras.start("publish").wait_until_ready()
    send_in_one_transaction(ras_topics.bootstrap_servers, _MESSAGES)
    _wait_for(store, len(_MESSAGES))
    publisher.terminate()

    restored = ras.start("publish", "--after-restore")

    wait_until(lambda: "publisher.compared" in restored.output, what="it ends", state=lambda: restored.output)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_input_is_ingested_and_compressed_output_is_checked(
    ras: Installation, ras_topics: Topics, store: PostgresProbe, codec: str
) -> None:
    ras.start("ingest").wait_until_ready()
    publisher = ras.start("publish", kafka_compression_type=codec).wait_until_ready()
    send_compressed(ras_topics.bootstrap_servers, _MESSAGES, codec)
    _wait_for(store, len(_MESSAGES))
    wait_until(lambda: len(ras_topics.read()) > 0, what="something is published", state=store.counts)
    wait_until(lambda: ras.run("check").exit_code == 0, what="the check is content", state=store.counts)
    publisher.terminate()
    assert {lag for _, lag, _ in _ingest_lags(ras)} == {0}


@pytest.mark.parametrize("timestamp", [1, 1_773_000_000_000_000], ids=["1970", "microseconds"])
def test_record_times_that_cannot_be_true_do_not_end_anything(
    ras: Installation, ras_topics: Topics, store: PostgresProbe, timestamp: int
) -> None:
    ras_topics.delete(ESSAY_SLOT_ASSIGNED)
    any_time = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}
    ras_topics.create(ESSAY_SLOT_ASSIGNED, any_time, partitions=3)
    ingester = ras.start("ingest").wait_until_ready()
    ras_topics.send([_SLOT])
    _wait_for(store, 1)
    ingester.terminate()
    for partition in range(3):
        send_at(ras_topics.bootstrap_servers, _SLOT, timestamp=timestamp, partition=partition)
    waiting = [row for row in _ingest_lags(ras) if row[1]]
    assert len(waiting) == 3
    assert {age for _, _, age in waiting} == {None}
    ras.start("ingest").wait_until_ready()
    _wait_for(store, 4)


def test_a_partition_added_to_a_log_append_time_topic_while_running_is_ingested(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ras_topics.delete(ESSAY_SLOT_ASSIGNED)
    ras_topics.create(
        ESSAY_SLOT_ASSIGNED, {"message.timestamp.type": "LogAppendTime", "compression.type": "zstd"}
    )
    ras.start("ingest").wait_until_ready()
    ras_topics.send([_SLOT])
    _wait_for(store, 1)
    ras_topics.add_partitions(ESSAY_SLOT_ASSIGNED, 2)
    send_at(ras_topics.bootstrap_servers, _SLOT, timestamp=0, partition=1)
    _wait_for(store, 2)
