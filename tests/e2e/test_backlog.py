"""After a standstill RAS announces what it would have announced without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from infrastructure.demo.message import UpstreamMessage
from infrastructure.intake.time_order import Records, TimeOrder
from infrastructure.kafka import clients
from tests.support.accounts import check_taken_in_once, recorded_events, taken_in
from tests.support.backlog import (
    announcements_in,
    announcements_of_an_uninterrupted_run,
    backlog,
    times_ms,
    wrong_announcements,
)
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Coordinates, Sender, Topics
from tests.support.waiting import wait_until

_SEED: Final = 20_260_311
_BATCHES: Final = 100
_DEADLINE_S: Final = 120.0

MICROSECONDS: Final = 1_770_000_000_000_000


def test_announcements_after_a_standstill_are_those_of_an_uninterrupted_run(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    messages = backlog(_SEED, _BATCHES)
    third = len(messages) // 3
    places: list[Coordinates] = []
    with Sender(ras.bootstrap_servers) as sender:
        for part in (messages[:third], messages[third:]):
            places += sender.send(part, times_ms=times_ms(part))
            _ingest(ras, store, len(places))

    wanted = announcements_of_an_uninterrupted_run(messages)
    assert sum(map(len, wanted.values())) > _BATCHES, "without retried essays this shows nothing"
    assert wrong_announcements(wanted, announcements_in(recorded_events(store))) == {}
    check_taken_in_once(store, ras_topics, places)


def _ingest(ras: Installation, store: PostgresProbe, wanted: int) -> None:
    ingester = ras.start("ingest")
    wait_until(
        lambda: taken_in(store) == wanted,
        what="the backlog is ingested",
        deadline_s=_DEADLINE_S,
        state=lambda: f"{taken_in(store)} of {wanted}",
    )
    assert ingester.wait_until_ready().terminate() == 0, ingester.output


@asynccontextmanager
async def reading(topics: Topics, *names: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer at the beginning of partition 0 of each topic; what is done with it has a deadline."""
    consumer = clients.consumer(topics.bootstrap_servers, auto_offset_reset="none")
    await consumer.start()
    try:
        partitions = [TopicPartition(name, 0) for name in names]
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        async with asyncio.timeout(_DEADLINE_S):
            yield consumer
    finally:
        await consumer.stop()


async def read_until(order: TimeOrder, wanted: int) -> list[tuple[str, int]]:
    """Return topic and time of the records that are handed out, at least `wanted`."""
    found: list[tuple[str, int]] = []
    while len(found) < wanted:
        records: Records = await order.next(10, timeout_ms=200)
        found += [(r.topic, r.timestamp) for each in records.values() for r in each]
    return found


def send_at(topics: Topics, topic: str, times: list[int]) -> None:
    """Send messages at these times, all to partition 0 of a topic that has one."""
    messages = backlog(_SEED, 1)[:1] * len(times)
    with Sender(topics.bootstrap_servers) as sender:
        sender.send([UpstreamMessage(topic, b"key", m.value, m.sent_at) for m in messages], times_ms=times)


@pytest.mark.anyio
async def test_a_fault_of_one_partition_is_raised_again_and_again_and_the_others_are_read(
    ras_topics: Topics,
) -> None:
    times = times_ms(backlog(_SEED, 1))[:40]
    for name in ("ras.test.out-of-range", "ras.test.other"):
        ras_topics.delete(name)
        ras_topics.create(name, {})
        send_at(ras_topics, name, times)
    async with reading(ras_topics, "ras.test.out-of-range", "ras.test.other") as consumer:
        consumer.seek(TopicPartition("ras.test.out-of-range", 0), 1000)
        order = TimeOrder(consumer, read_ahead_bytes=1_000_000)
        found: list[tuple[str, int]] = []
        faults = 0
        while len(found) < len(times) or faults < 2:
            try:
                found += await read_until(order, 1)
            except OffsetOutOfRangeError:
                faults += 1

        assert found == [("ras.test.other", time) for time in times]


@pytest.mark.anyio
async def test_a_partition_that_delivers_nothing_does_not_hold_back_the_others(
    ras_topics: Topics,
) -> None:
    times = times_ms(backlog(_SEED, 1))[:40]
    for name in ("ras.test.silent", "ras.test.odd", "ras.test.other"):
        ras_topics.delete(name)
        ras_topics.create(name, {"message.timestamp.after.max.ms": str(2**62), "retention.ms": "-1"})
    send_at(ras_topics, "ras.test.silent", times[:1])
    send_at(ras_topics, "ras.test.odd", [MICROSECONDS, 1, MICROSECONDS])
    send_at(ras_topics, "ras.test.other", times[1:])
    async with reading(ras_topics, "ras.test.silent", "ras.test.odd", "ras.test.other") as consumer:
        consumer.pause(TopicPartition("ras.test.silent", 0))
        order = TimeOrder(consumer, read_ahead_bytes=1_000_000)

        found = await read_until(order, 3 + len(times[1:]))

        assert sorted(found[:3]) == [("ras.test.odd", 1)] + [("ras.test.odd", MICROSECONDS)] * 2
        assert found[3:] == [("ras.test.other", time) for time in times[1:]]
        consumer.resume(TopicPartition("ras.test.silent", 0))
        assert await read_until(order, 1) == [("ras.test.silent", times[0])]
