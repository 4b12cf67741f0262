"""Latency: from the last message in to the teacher's notification read, with all roles running.

    python -m benchmarks.latency [--rate 500] [--seconds 30]

Happy batches of 30 essays flow at a steady rate through `ras ingest` and `ras publish`; a consumer that
reads committed takes the notifications. A batch is ready with its assessment result, so the time runs
from sending that message to reading the notification of results ready. The baseline is one hop: a message
sent to the same broker and read there, with no service between and no load; RAS needs two of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

import numpy as np
import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from application.topics import ASSESSMENT_RESULT, ESSAY_NLP_COMPLETED, TEACHER_NOTIFICATION_REQUESTED
from benchmarks.report import report
from benchmarks.servers import BenchServers, Message, bench_servers, role
from infrastructure.demo.stream import bulk

TARGET_P50_MS, TARGET_P99_MS = 25, 100
_WARM_UP_BATCHES = 20
_ROLES = 2
_HOP_TOPIC = ESSAY_NLP_COMPLETED
"""A topic that nobody reads or writes meanwhile."""
_HOPS = 200
_BETWEEN_HOPS_S = 0.01


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rate", type=int, default=500, help="messages per second")
    arguments.add_argument("--seconds", type=int, default=30, help="how long")
    given = arguments.parse_args()
    batches = _WARM_UP_BATCHES + given.rate * given.seconds // 65
    messages: list[Message] = list(bulk(1, batches, 30, open_batches=20))
    with bench_servers() as servers:
        database_url = servers.database("latency")
        with role(servers, "ingest", database_url, {}), role(servers, "publish", database_url, {}):
            _wait_until_both_are_ready(database_url)
            latencies = asyncio.run(_flow(servers, messages, given.rate, batches))
        hops = asyncio.run(_hops(servers))
    shares = {"p50": 50, "p90": 90, "p99": 99, "longest": 100}
    report(
        "latency",
        f"Last message in to notification read, {given.rate} messages/s",
        [
            {
                "what": name,
                "ms": (ours := float(np.percentile(latencies, share))),
                "one hop through Kafka, ms": (hop := float(np.percentile(hops, share))),
                "times one hop": ours / hop,
            }
            for name, share in shares.items()
        ],
        notes=[f"{len(latencies)} batches. Target: p50 ≤ {TARGET_P50_MS} ms, p99 ≤ {TARGET_P99_MS} ms."],
    )


def _wait_until_both_are_ready(database_url: str) -> None:
    """Return when the ingester has its partitions and the publisher has said so in Kafka (its heartbeat)."""
    deadline = time.monotonic() + 60
    with psycopg.connect(database_url, autocommit=True) as watch:
        while time.monotonic() < deadline:
            row = watch.execute(
                "SELECT count(DISTINCT split_part(name, '/', 1)) FROM ras.positions"
            ).fetchone()
            if row is not None and row[0] == _ROLES:
                return
            time.sleep(0.1)
    raise TimeoutError("the roles were not ready within 60 s")


async def _flow(servers: BenchServers, messages: list[Message], rate: int, batches: int) -> list[float]:
    consumer = AIOKafkaConsumer(
        TEACHER_NOTIFICATION_REQUESTED,
        bootstrap_servers=servers.bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers.bootstrap_servers)
    await consumer.start()
    await producer.start()
    sent: dict[str, float] = {}
    sending = asyncio.create_task(_send(producer, messages, rate, sent))
    arrived: dict[str, float] = {}
    async with asyncio.timeout(120 + len(messages) / rate):
        while len(arrived) < batches:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                now = time.monotonic()
                for record in records:
                    data = json.loads(record.value)["data"]
                    if data["notification_type"] == "batch_results_ready":
                        arrived[data["batch_id"]] = now
    await sending
    await producer.stop()
    await consumer.stop()
    return [1000 * (arrived[batch] - at) for batch, at in list(sent.items())[_WARM_UP_BATCHES:]]


async def _hops(servers: BenchServers) -> list[float]:
    """Return the milliseconds from sending one message to reading it, through the same broker and nothing else."""
    consumer = AIOKafkaConsumer(
        _HOP_TOPIC, bootstrap_servers=servers.bootstrap_servers, fetch_max_wait_ms=100
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers.bootstrap_servers)
    await producer.start()
    await consumer.start()
    await consumer.seek_to_end()
    taken = []
    for _ in range(_HOPS):
        begun = time.monotonic()
        await producer.send(_HOP_TOPIC, b"a message")
        await consumer.getone()
        taken.append(1000 * (time.monotonic() - begun))
        await asyncio.sleep(_BETWEEN_HOPS_S)
    await producer.stop()
    await consumer.stop()
    return taken


async def _send(
    producer: AIOKafkaProducer, messages: list[Message], rate: int, sent: dict[str, float]
) -> None:
    begun = time.monotonic()
    for number, (topic, key, value) in enumerate(messages):
        due = begun + number / rate
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if topic == ASSESSMENT_RESULT:
            sent[json.loads(value)["data"]["batch_id"]] = time.monotonic()
        await producer.send(topic, value, key=key)


if __name__ == "__main__":
    main()
