"""A backlog: what is announced after a standstill, against what an uninterrupted run announces.

    python -m benchmarks.backlog [--batches 400]

An hour's batches lie in Kafka before `ras ingest` starts, each message with the time at which it was sent. All
have trouble: essays that fail for good, that fail first and pass later, or a whole class that fails. An announcement
is wrong where the uninterrupted run, which sees the messages one by one in the order of their times, announces something
else of that batch at that place. `cpu_us` is what the ingester's process took per message, its start included.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any, Final, LiteralString

import psycopg
from confluent_kafka import Producer
from eventsourcing.persistence import StoredEvent

from application.translate import Rejection, translate
from benchmarks.report import report
from benchmarks.servers import bench_servers, role, wait_for
from domain.aggregate import DomainEvent
from domain.batch_events import PUBLISHED_EVENTS, BatchResultsReady
from infrastructure.demo.stream import stream
from infrastructure.demo.upstream import UpstreamMessage
from infrastructure.eventstore.event_registry import event_codec
from tests.support.deciding import decide
from tests.support.ingesting import in_partitions
from tests.support.upstream import RECEIVED_AT

_DEADLINE_S: Final = 300.0
_INGESTED: Final[LiteralString] = "SELECT sum(taken_in) FROM ras.intake_counts"
_EVENTS: Final = "SELECT originator_id, originator_version, topic, state FROM ras.stored_events ORDER BY originator_version"

Announced = dict[str, list[tuple[Any, ...]]]


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--batches", type=int, default=400, help="batches of 8, 24 or 30 essays")
    batches = arguments.parse_args().batches
    start = datetime.now(UTC) - timedelta(hours=2)  # the broker deletes what is older than its retention
    scenario = stream(
        7, batches, class_sizes=(8, 24, 30), failure_share=1.0, disorder=0, repeats=0, start=start
    )
    messages = sorted(scenario, key=lambda message: message.sent_at)
    wanted = _uninterrupted(messages)
    with bench_servers() as servers:
        _send(servers.bootstrap_servers, messages)
        rows = []
        for most in (1000, 100):
            database_url = servers.database(f"backlog_{most}")
            settings = {"RAS_CONSUMER_GROUP": f"backlog-{most}", "RAS_BATCH_MAX_MESSAGES": str(most)}
            used = getrusage(RUSAGE_CHILDREN)
            with ExitStack() as stack:
                stack.enter_context(role(servers, "ingest", database_url, settings))
                watch = stack.enter_context(psycopg.connect(database_url, autocommit=True))
                begun = time.monotonic()
                ended, _ = wait_for(watch, _INGESTED, len(messages), begun + _DEADLINE_S)
                found = _recorded(watch)
            after = getrusage(RUSAGE_CHILDREN)
            cpu_s = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
            wrong = [
                sum(one != other for one, other in zip_longest(wanted.get(each, []), found.get(each, [])))
                for each in wanted.keys() | found.keys()
            ]
            rows.append(
                {
                    "micro-batch": most,
                    "messages": len(messages),
                    "announcements": sum(map(len, wanted.values())),
                    "wrong": sum(wrong),
                    "wrong batches": sum(map(bool, wrong)),
                    "seconds": ended - begun,
                    "cpu_us": 1e6 * cpu_s / len(messages),
                }
            )
    hours = (messages[-1].sent_at - start).total_seconds() / 3600
    report(
        "backlog", "Announcements after a standstill", rows, notes=[f"The stream lasts {hours:.2f} hours."]
    )


def _uninterrupted(messages: list[UpstreamMessage]) -> Announced:
    announced: Announced = defaultdict(list)
    aggregates: dict[str, Any] = {}
    for message in in_partitions(messages):
        read = translate(message, received_at=RECEIVED_AT)
        assert not isinstance(read, Rejection), read
        for event in decide(read, aggregates):
            _add(announced, event)
    return announced


def _recorded(connection: psycopg.Connection) -> Announced:
    announced: Announced = defaultdict(list)
    codec = event_codec()
    for row in connection.execute(_EVENTS):
        _add(announced, codec.to_domain_event(StoredEvent(*row)))
    return announced


def _add(announced: Announced, event: DomainEvent) -> None:
    if not isinstance(event, PUBLISHED_EVENTS):
        return
    if isinstance(event, BatchResultsReady):
        said: tuple[Any, ...] = (
            event.revision,
            event.overall_status,
            event.completed_essays,
            event.failed_essays,
            event.phase_results,
            event.job_id,
        )
    else:
        said = (event.job_id, event.rankings)
    announced[str(event.originator_id)].append(said)


def _send(bootstrap_servers: str, messages: list[UpstreamMessage]) -> None:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "linger.ms": 50,
            "partitioner": "murmur2_random",
            "log_level": 0,
        }
    )
    for message in messages:
        sent_ms = round(message.sent_at.timestamp() * 1000)
        producer.produce(message.topic, message.value, key=message.key, timestamp=sent_ms)
        producer.poll(0)
    if producer.flush(60):
        raise SystemExit("The broker did not take all messages.")


if __name__ == "__main__":
    main()
