"""Publish: from the event store to acknowledged Kafka transactions, one `ras publish` process.

    python -m benchmarks.publish [--events 100000]

The events lie in the store before the process starts; each becomes two records (the event and the
teacher's notification). Measured is the time from the first committed position to the last. The baseline
is the same process with one event a transaction, as a relay that sends row by row works.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg

from benchmarks.report import report
from benchmarks.servers import BenchServers, bench_servers, role, wait_for
from domain.batch_events import BatchResultsReady
from domain.values import BatchStatus, Causation, PhaseResult
from infrastructure.roles import bootstrap

TARGET = 20_000
_DEADLINE_S = 120.0
_BASELINE_S = 15.0
PUBLISHED: LiteralString = "SELECT max(position) FROM ras.positions WHERE name LIKE 'publisher/%'"
_CHUNK = 10_000


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--events", type=int, default=100_000, help="events in the store")
    events = arguments.parse_args().events
    with bench_servers() as servers:
        rows = [
            _measured(servers, "one event a transaction", 1, events, limit_s=_BASELINE_S),
            _measured(servers, "transactions of up to 4,000 (default)", None, events, limit_s=_DEADLINE_S),
        ]
    for row in rows:
        row["times baseline"] = row["events/s"] / rows[0]["events/s"]
    report(
        "publish",
        "Publish, two records an event, one process",
        rows,
        notes=[f"Target: {TARGET:,} events/s. The baseline is stopped after {_BASELINE_S:.0f} s."],
    )


def _measured(
    servers: BenchServers, name: str, batch: int | None, events: int, *, limit_s: float
) -> dict[str, Any]:
    suffix = "default" if batch is None else str(batch)
    database_url = servers.database(f"publish_{suffix}")
    fill(database_url, events)
    settings = {"RAS_TRANSACTIONAL_ID": f"publish-{suffix}"}
    if batch is not None:
        settings["RAS_PUBLISH_MAX_EVENTS"] = str(batch)
    with (
        role(servers, "publish", database_url, settings),
        psycopg.connect(database_url, autocommit=True) as watch,
    ):
        begun, at_begin = wait_for(watch, PUBLISHED, 1, time.monotonic() + 60)
        ended, at_end = wait_for(watch, PUBLISHED, events, begun + limit_s)
    published = at_end - at_begin
    return {
        "way": name,
        "events": published,
        "seconds": ended - begun,
        "events/s": published / (ended - begun),
    }


def fill(database_url: str, count: int) -> None:
    """Record `count` announcements, each of a batch of its own, as an ingester would."""
    store = bootstrap.event_store(database_url)
    events = list(_events(count))
    for start in range(0, count, _CHUNK):
        with store.transaction() as transaction:
            transaction.append(events[start : start + _CHUNK], [])
    store.close()


def _events(count: int) -> Iterator[BatchResultsReady]:
    at = datetime(2026, 3, 7, 9, tzinfo=UTC)
    for number in range(count):
        yield BatchResultsReady(
            originator_id=f"batch-{number:032x}",
            originator_version=1,
            happened_at=at,
            causation=Causation(
                topic="huleedu.assessment.result.published.v1",
                partition=0,
                offset=number,
                received_at=at,
                event_id=f"{number:08x}-0000-4000-8000-000000000000",
                correlation_id=f"{number:08x}-0000-4000-8000-000000000001",
            ),
            user_id=f"teacher-{number % 500:04d}",
            class_id=None,
            revision=1,
            overall_status=BatchStatus.COMPLETED_SUCCESSFULLY,
            total_essays=30,
            completed_essays=30,
            failed_essays=0,
            phase_results=(
                PhaseResult(
                    phase="spellcheck", completed_count=30, failed_count=0, processing_time_seconds=4.2
                ),
                PhaseResult(
                    phase="cj_assessment", completed_count=30, failed_count=0, processing_time_seconds=21.7
                ),
            ),
            job_id=f"{number}",
            processing_duration_seconds=35.8,
            correlation_id=f"{number:08x}-0000-4000-8000-000000000001",
        )


if __name__ == "__main__":
    main()
