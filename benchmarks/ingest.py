"""Ingest: from Kafka to committed events, one `ras ingest`, fsync on.

    python -m benchmarks.ingest [--batches 6000]

The messages (30-essay batches, 200 open at a time) lie in Kafka before the process starts; measured is
the time from its first commit to its last, and the CPU time of each process by message. The other processes
start in that time. The baseline is one transaction a message, as the original service works.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, LiteralString

import psycopg

from benchmarks.cpu import CpuByProcess
from benchmarks.report import report
from benchmarks.servers import BenchServers, Message, bench_servers, role, send_all, wait_for
from infrastructure.demo.stream import bulk

TARGET = 20_000
_DEADLINE_S = 300.0
_BASELINE_S = 15.0
_PROGRESS: LiteralString = "SELECT sum(taken_in) FROM ras.intake_counts"


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "--batches", type=int, default=6_000, help="batches of 30 essays (65 messages each)"
    )
    batches = arguments.parse_args().batches
    messages: list[Message] = list(bulk(1, batches, 30))
    with bench_servers() as servers:
        send_all(servers.bootstrap_servers, messages)
        ways: list[tuple[str, dict[str, str], float]] = [
            (
                "one transaction a message",
                {"RAS_BATCH_MAX_MESSAGES": "1", "RAS_INGEST_PROCESSES": "1"},
                _BASELINE_S,
            ),
            ("one process", {"RAS_INGEST_PROCESSES": "1"}, _DEADLINE_S),
            ("two processes", {"RAS_INGEST_PROCESSES": "2"}, _DEADLINE_S),
            ("three processes", {"RAS_INGEST_PROCESSES": "3"}, _DEADLINE_S),
        ]
        rows = [
            _measured(servers, name, settings, len(messages), limit_s=limit_s)
            for name, settings, limit_s in ways
        ]
    for row in rows:
        row["times baseline"] = row["messages/s"] / rows[0]["messages/s"]
    report(
        "ingest",
        "Ingest, 30-essay batches, one ingester",
        rows,
        notes=[f"Target: {TARGET:,} messages/s. The baseline is stopped after {_BASELINE_S:.0f} s."],
    )


def _measured(
    servers: BenchServers, name: str, settings: dict[str, str], messages: int, *, limit_s: float
) -> dict[str, Any]:
    own = name.replace(" ", "_")
    database_url = servers.database(f"ingest_{own}")
    with (
        role(servers, "ingest", database_url, {"RAS_CONSUMER_GROUP": own, **settings}),
        psycopg.connect(database_url, autocommit=True) as watch,
    ):
        begun, at_begin = wait_for(watch, _PROGRESS, 1, time.monotonic() + 60)
        cpu = CpuByProcess()
        ended, at_end = wait_for(watch, _PROGRESS, messages, begun + limit_s)
        used = cpu.seconds()
    taken = at_end - at_begin
    return {
        "way": name,
        "messages": taken,
        "seconds": ended - begun,
        "messages/s": taken / (ended - begun),
        **{
            f"µs CPU, {process}": 1e6 * used.get(process, 0.0) / taken
            for process in ("ingest", "deciding", "postgres", "broker")
        },
    }


if __name__ == "__main__":
    main()
